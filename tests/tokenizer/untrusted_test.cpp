// Tokens written in text that came from outside; the comparison with `tokenizers` is untrusted_test.py's.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/added_tokens.h"
#include "tokenizer/byte_tokenizer.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/small_tokenizers.h"
#include "tokenizer/spans.h"

namespace pegainfer {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::load;
using ::testing::Not;

std::vector<TokenId> encode(const Tokenizer& t, std::string_view text, std::vector<TextSpan> untrusted,
                            std::vector<TokenId> control = {}) {
  return t.encode(text, {.add_special_tokens = false, .untrusted = untrusted, .control_tokens = control});
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

TEST(Untrusted, ASpecialTokenThatTouchesItIsOrdinaryText) {
  const auto t = load(testing::byte_level_json());
  const std::string token = "<|im_start|>";
  const TokenId id = t->token_to_id(token);
  EXPECT_THAT(encode(*t, token, {}), ElementsAre(id));
  const std::vector<TokenId> spelled = encode(*t, token, {{0, token.size()}});
  EXPECT_THAT(spelled, Not(Contains(id)));
  EXPECT_EQ(t->decode(spelled, false), token);
  EXPECT_EQ(t->decode(spelled, true), token);
  for (size_t border = 1; border < token.size(); ++border) {
    EXPECT_EQ(encode(*t, token, {{0, border}}), spelled);
    EXPECT_EQ(encode(*t, token, {{border, token.size()}}), spelled);
    EXPECT_EQ(encode(*t, token, {{border, border}}), spelled);  // what stood there is gone, but was there
  }
}

TEST(Untrusted, TokensBesideItAreRecognised) {
  const auto t = load(testing::byte_level_json());
  const std::string text = "<|im_start|>the<|im_start|> world<|im_start|>";
  const TokenId id = t->token_to_id("<|im_start|>");
  const std::vector<TokenId> ids = encode(*t, text, {{12, text.size() - 12}});
  EXPECT_EQ(ids.front(), id);
  EXPECT_EQ(ids.back(), id);
  EXPECT_THAT(std::vector(ids.begin() + 1, ids.end() - 1), Not(Contains(id)));
  EXPECT_EQ(t->decode(ids, false), text);
}

TEST(Untrusted, PiecesAndMergesReachOverItsBorders) {
  const auto t = load(testing::byte_level_json());
  for (const std::string_view text : {"the the world", "the world<think>the e\xCC\x81", "\xFFthe\xE4\xB8"}) {
    const std::vector<TokenId> whole = encode(*t, text, {});
    for (size_t begin = 0; begin < text.size(); ++begin) {
      for (size_t end = begin; end <= text.size(); ++end) {
        EXPECT_EQ(encode(*t, text, {{begin, end}}), whole) << text << ' ' << begin << ' ' << end;
      }
    }
  }
}

TEST(Untrusted, ControlTokensAreThoseOfTheCaller) {
  const auto t = load(testing::byte_level_json());
  const TokenId think = t->token_to_id("<think>");
  EXPECT_THAT(encode(*t, "<think>", {{0, 7}}), ElementsAre(think));
  EXPECT_THAT(encode(*t, "<think>", {{0, 7}}, {think}), Not(Contains(think)));
  EXPECT_THAT(encode(*t, "<think>", {}, {think}), ElementsAre(think));
}

TEST(Untrusted, SpansFollowTheRepairOfBrokenUtf8) {
  const auto t = load(testing::byte_level_json());
  const std::string text = "\xFF\xFF\xFF<|im_start|>a\xE4<|im_start|>";
  const TokenId id = t->token_to_id("<|im_start|>");
  EXPECT_EQ(encode(*t, text, {{0, 3}, {15, 17}}), encode(*t, text, {}));
  const std::vector<TokenId> ids = encode(*t, text, {{3, 15}});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), id), 1);
  EXPECT_EQ(ids.back(), id);
}

class UntrustedMatcher : public ::testing::Test {
 protected:
  void add(TokenId id, std::string content, bool special = true, bool lstrip = false) {
    AddedToken token{.id = id, .content = std::move(content), .special = special};
    token.lstrip = lstrip;
    matcher_.add(token.content, token);
  }
  std::vector<std::pair<std::string, TokenId>> cut(std::string_view text, std::vector<TextSpan> untrusted) {
    matcher_.finish();
    const ControlGuard guard{.untrusted = untrusted, .control = {}};
    std::vector<std::pair<std::string, TokenId>> out;
    matcher_.split(text, &guard, [&](size_t begin, size_t end, TokenId id) {
      out.emplace_back(text.substr(begin, end - begin), id);
    });
    return out;
  }
  AddedTokenMatcher matcher_;
};
using Cut = std::pair<std::string, TokenId>;

TEST_F(UntrustedMatcher, AShorterAllowedTokenTakesThePlace) {
  add(1, "<a>");
  add(2, "<a><b>");
  add(3, "<a", false);
  EXPECT_THAT(cut("<a><b>", {{3, 6}}), ElementsAre(Cut{"<a>", 1}, Cut{"<b>", -1}));
  EXPECT_THAT(cut("<a><b>", {{2, 6}}), ElementsAre(Cut{"<a", 3}, Cut{"><b>", -1}));
}

TEST_F(UntrustedMatcher, TheEndOfAnUntrustedTextSwallowsNoTrustedToken) {
  add(1, "<x><|end|");
  add(2, "<|end|>");
  EXPECT_THAT(cut("<x><|end|>", {{0, 3}}), ElementsAre(Cut{"<x>", -1}, Cut{"<|end|>", 2}));
}

TEST_F(UntrustedMatcher, StrippedWhiteSpaceMayBeUntrusted) {
  add(1, "<m>", true, true);
  EXPECT_THAT(cut("a  <m>", {{0, 3}}), ElementsAre(Cut{"a", -1}, Cut{"  <m>", 1}));
}

// The vocabulary itself has the token as a piece, or merges to it.
TEST(Untrusted, TheModelMakesNoControlTokensEither) {
  const std::string special =
      R"({"id":%,"content":"the","single_word":true,"normalized":false,"special":true},{"id")";
  std::string json = testing::byte_level_json();
  const TokenId the = load(json)->token_to_id("the");
  json = replaced(json, R"({"id")", replaced(special, "%", fmt::format("{}", the)));
  for (const bool ignore_merges : {false, true}) {
    if (ignore_merges) json = replaced(json, R"("type":"BPE")", R"("type":"BPE","ignore_merges":true)");
    const auto t = load(json);
    ASSERT_TRUE(t->is_special(the));
    EXPECT_THAT(encode(*t, "the", {}), ElementsAre(the));
    const std::vector<TokenId> ids = encode(*t, "the", {{0, 3}});
    EXPECT_THAT(ids, Not(Contains(the)));
    EXPECT_EQ(t->decode(ids, false), "the");
    EXPECT_THAT(encode(*t, "the world", {{4, 5}}), Contains(the));  // trusted
  }
}

TEST(Untrusted, TokensOfTheNormalizedText) {
  std::string json = testing::sentencepiece_json();
  json = replaced(json, R"("content":"</s>","special":true,"normalized":false)",
                  R"("content":"x y","special":true,"normalized":true)");
  json = replaced(json, R"("</s>":2)", R"("x y":2)");
  const auto t = load(json);  // looked for as "▁x▁y"
  EXPECT_THAT(encode(*t, "x y", {}), ElementsAre(2));
  EXPECT_THAT(encode(*t, "a x y", {}), Contains(2));
  EXPECT_THAT(encode(*t, "a x yb", {{0, 1}, {5, 6}}), Contains(2));
  EXPECT_THAT(encode(*t, "a x yb", {{3, 4}}), Not(Contains(2)));
  EXPECT_THAT(encode(*t, "a x yb", {{0, 2}}), Not(Contains(2)));
}

TEST(Edits, SpansGoThroughTheNormalizers) {
  const auto mapped = [](const Normalizer& step, std::string_view text, TextSpan span) {
    std::string buffer;
    size_t origin = 0;
    Edits edits;
    const std::string_view out = step.apply(text, buffer, &origin, &edits);
    std::vector<TextSpan> spans{span};
    edits.map(spans);
    EXPECT_LE(spans[0].end, out.size());
    return std::string(out.substr(spans[0].begin, spans[0].end - spans[0].begin));
  };
  const auto nfc = make_form_normalizer(unicode::Form::kNfc);
  EXPECT_EQ(mapped(*nfc, "ae\xCC\x81z", {4, 5}), "z");
  EXPECT_EQ(mapped(*nfc, "ae\xCC\x81z", {2, 4}), "é");  // half of it is all of it
  EXPECT_EQ(mapped(*nfc, "ae\xCC\x81z", {0, 1}), "a");
  EXPECT_EQ(mapped(*nfc, ">\xCC\x81", {1, 3}), "\xCC\x81");  // nothing changed: the ">" is not of the span
  const auto spaces = make_replace(std::string(" "), "▁");
  EXPECT_EQ(mapped(*spaces, "a b c", {2, 4}), "b▁");
  EXPECT_EQ(mapped(*spaces, "a b c", {1, 2}), "▁");
  EXPECT_EQ(mapped(*make_replace(std::string(" "), ""), "a b c", {1, 2}), "");
  EXPECT_EQ(mapped(*make_prepend("▁"), "abc", {0, 1}), "a");
  EXPECT_EQ(mapped(*make_strip(true, true), "  abc ", {1, 4}), "ab");
  EXPECT_EQ(mapped(*make_strip(true, true), "  abc ", {4, 6}), "c");
  EXPECT_EQ(mapped(*make_lowercase(), "\xC4\xB0Q", {2, 3}), "q");
  EXPECT_EQ(mapped(*make_lowercase(), "\xC4\xB0Q", {0, 2}), "i\xCC\x87");
}

TEST(Edits, TouchesAndClip) {
  const std::vector<TextSpan> spans{{2, 4}, {6, 6}, {8, 9}};
  EXPECT_FALSE(touches(spans, 0, 2));
  EXPECT_TRUE(touches(spans, 3, 4));
  EXPECT_FALSE(touches(spans, 4, 6));
  EXPECT_TRUE(touches(spans, 4, 7));
  EXPECT_FALSE(touches(spans, 9, 20));
  EXPECT_THAT(clip(spans, 3, 9), ElementsAre(TextSpan{0, 1}, TextSpan{3, 3}, TextSpan{5, 6}));
}

TEST(TokensNamedIn, MarksButNoWordsAndBlanks) {
  std::string json = testing::byte_level_json();
  std::string added;
  for (const char* token : {"user", "  ", "\\n\\n", "{{", "<tool_call>", "[INST]"}) {
    added += fmt::format(R"({{"id":0,"content":"{}","special":false,"normalized":false}},)", token);
  }
  const auto t = load(replaced(json, R"({"id")", added + R"({"id")"));
  const std::string source = "{{ '<|im_start|>user<think>[INST]'  }}\n\n";
  EXPECT_THAT(tokens_named_in(*t, source),
              ::testing::UnorderedElementsAre(t->token_to_id("<think>"), t->token_to_id("[INST]")));
  EXPECT_THAT(tokens_named_in(ByteTokenizer(), source), IsEmpty());
}

TEST(UntrustedDeathTest, SpansOutOfOrderAreABug) {
  EXPECT_DEATH((void)encode(*load(testing::byte_level_json()), "abc", {{1, 2}, {0, 1}}), "untrusted bytes");
}

}  // namespace
}  // namespace pegainfer

#include "engine/text_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "support/cpu_time.h"
#include "support/fake_engine.h"
#include "support/fake_tokenizer.h"
#include "tokenizer/small_tokenizers.h"

namespace pegainfer {
namespace {

using pegainfer::testing::byte_tokens;
using pegainfer::testing::FakeTokenizer;

const std::string kReplacement = "\xEF\xBF\xBD";

TokenEvent event(std::vector<TokenId> tokens) {
  TokenEvent e;
  e.usage = {.prompt_tokens = 3, .completion_tokens = 0, .cached_tokens = 1};
  e.tokens = StepTokens(tokens);
  for (const TokenId id : e.tokens) e.logprobs.push_back(pegainfer::testing::fake_logprobs(id, 1, 300));
  return e;
}

TokenEvent finish_event(std::vector<TokenId> tokens, FinishReason reason, int completion_tokens) {
  TokenEvent e = event(std::move(tokens));
  e.usage.completion_tokens = completion_tokens;
  e.finish = Finish{.reason = reason, .usage = e.usage};
  return e;
}

// All deltas together.
struct Whole {
  std::string text;
  std::vector<TokenId> tokens;
  std::vector<int> offsets;
  std::vector<PositionLogprobs> logprobs;
  std::optional<TextDelta> last;
  int num_finishes = 0;
  void add(TextDelta d) {
    text += d.text;
    tokens.insert(tokens.end(), d.tokens.begin(), d.tokens.end());
    offsets.insert(offsets.end(), d.text_offsets.begin(), d.text_offsets.end());
    logprobs.insert(logprobs.end(), d.logprobs.begin(), d.logprobs.end());
    if (d.finish) {
      ++num_finishes;
      last = std::move(d);
    }
  }
};

TEST(TextStream, SomeSpecialTokensAreKept) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {.kept_tokens = {FakeTokenizer::kBos, FakeTokenizer::kImEnd}}, {});
  const TextDelta delta = stream.push(event(
      {FakeTokenizer::kImStart, 'a', FakeTokenizer::kBos, 'b', FakeTokenizer::kEos, FakeTokenizer::kImEnd}));
  EXPECT_EQ(delta.text, "a<|bos|>b<|im_end|>");
  EXPECT_EQ(delta.tokens.size(), 6U);
}

TEST(TextStream, ReleasesTextTokensAndLogprobsTogether) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {}, {});
  TextDelta d = stream.push(event({'H'}));
  EXPECT_EQ(d.text, "H");
  EXPECT_EQ(d.tokens, std::vector<TokenId>{'H'});
  EXPECT_EQ(d.text_offsets, std::vector<int>{0});
  ASSERT_EQ(d.logprobs.size(), 1U);
  EXPECT_EQ(d.logprobs[0].chosen.token, 'H');
  EXPECT_EQ(d.usage.completion_tokens, 1);
  EXPECT_EQ(d.usage.prompt_tokens, 3);
  EXPECT_EQ(d.usage.cached_tokens, 1);
  d = stream.push(finish_event({'i'}, FinishReason::kLength, 2));
  EXPECT_EQ(d.text, "i");
  ASSERT_TRUE(d.finish);
  EXPECT_EQ(d.finish->reason, FinishReason::kLength);
  EXPECT_FALSE(d.cancel);
  EXPECT_FALSE(d.stop_string);
  EXPECT_TRUE(stream.finished());
}

TEST(TextStream, PromptLogprobsPassThrough) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {}, {});
  TokenEvent e = finish_event({}, FinishReason::kLength, 0);
  e.prompt_logprobs.resize(2);
  EXPECT_EQ(stream.push(std::move(e)).prompt_logprobs.size(), 2U);
}

TEST(TextStream, StopStringEndsItAndAsksForCancel) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {.stop = {"\n\n", "END"}}, {});
  Whole whole;
  for (const char c : std::string("a\nbE")) whole.add(stream.push(event({c})));
  EXPECT_EQ(whole.text, "a\nb");
  EXPECT_EQ(whole.tokens.size(), 3U);  // the token of the withheld text waits with it
  whole.add(stream.push(event({'N'})));
  EXPECT_EQ(whole.text, "a\nb");
  TextDelta d = stream.push(event({'D'}));
  EXPECT_TRUE(d.cancel);
  ASSERT_TRUE(d.finish);
  EXPECT_EQ(d.finish->reason, FinishReason::kStop);
  EXPECT_EQ(d.stop_string, "END");
  EXPECT_EQ(d.finish->usage.completion_tokens, 6);
  EXPECT_EQ(d.finish->usage.prompt_tokens, 3);
  EXPECT_EQ(d.text, "");
  EXPECT_EQ(d.tokens, byte_tokens("END"));
  EXPECT_EQ(d.text_offsets, (std::vector<int>{3, 4, 5}));
  const TextDelta later = stream.push(finish_event({'x'}, FinishReason::kCancelled, 7));
  EXPECT_FALSE(later.finish);
  EXPECT_EQ(later.text, "");
  EXPECT_TRUE(later.tokens.empty());
}

TEST(TextStream, StopStringsWaitForTheLeastTokens) {
  const FakeTokenizer tokenizer;
  const auto text_of = [&](const std::string& text, int min_tokens, size_t per_event) {
    TextStream stream(tokenizer, {.stop = {"ab", "b!"}, .min_tokens = min_tokens}, {});
    std::string out;
    for (size_t i = 0; i < text.size() && !stream.finished(); i += per_event)
      out += stream.push(event(byte_tokens(text.substr(i, per_event)))).text;
    if (!stream.finished()) out += stream.push(finish_event({}, FinishReason::kLength, 9)).text;
    return out;
  };
  for (const size_t per_event : {size_t{1}, size_t{2}, size_t{100}}) {
    EXPECT_EQ(text_of("xabyabz", 0, per_event), "x");
    EXPECT_EQ(text_of("xabyabz", 2, per_event), "x");  // it ends in the third
    EXPECT_EQ(text_of("xabyabz", 3, per_event), "xaby");
    EXPECT_EQ(text_of("xabyabz", 7, per_event), "xabyabz");
    EXPECT_EQ(text_of("xab!z", 3, per_event), "xa");  // begun before, ended after
    EXPECT_EQ(text_of("xab", 9, per_event), "xab");
  }
}

TEST(TextStream, StopStringMayBeIncluded) {
  const FakeTokenizer tokenizer({.extra_tokens = {"one STOP two"}});
  for (const bool include : {false, true}) {
    TextStream stream(tokenizer, {.stop = {"STOP"}, .include_stop_str_in_output = include}, {});
    const TextDelta d = stream.push(event({'>', FakeTokenizer::kFirstExtra, 'z'}));
    EXPECT_EQ(d.text, include ? ">one STOP" : ">one ");
    EXPECT_EQ(d.tokens.size(), 2U);  // 'z' came after the end
    EXPECT_EQ(d.finish->usage.completion_tokens, 2);
  }
}

TEST(TextStream, AlmostAStopStringIsReleased) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {.stop = {"abcd"}}, {});
  EXPECT_EQ(stream.push(event(byte_tokens("xabc"))).text, "x");
  const TextDelta d = stream.push(event({'a'}));
  EXPECT_EQ(d.text, "abc");
  EXPECT_EQ(d.tokens, byte_tokens("abc"));
  EXPECT_EQ(d.text_offsets, (std::vector<int>{1, 2, 3}));
  const TextDelta last = stream.push(finish_event({'b'}, FinishReason::kLength, 6));
  EXPECT_EQ(last.text, "ab");  // the end flushes
  EXPECT_EQ(last.finish->reason, FinishReason::kLength);
}

TEST(TextStream, StopStringWinsOverTheEnginesEndInTheSameEvent) {
  const FakeTokenizer tokenizer;
  for (const FinishReason reason : {FinishReason::kLength, FinishReason::kStop}) {
    TextStream stream(tokenizer, {.stop = {"b"}}, {});
    const TextDelta d = stream.push(finish_event({'a', 'b'}, reason, reason == FinishReason::kStop ? 3 : 2));
    EXPECT_EQ(d.text, "a");
    EXPECT_EQ(d.finish->reason, FinishReason::kStop);
    EXPECT_EQ(d.stop_string, "b");
    EXPECT_EQ(d.finish->usage.completion_tokens, 2);
    EXPECT_FALSE(d.cancel);  // nothing is left to cancel
  }
}

TEST(TextStream, EosEndsWithTheEnginesUsage) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {.stop = {"zz"}}, {});
  EXPECT_EQ(stream.push(event({'z'})).text, "");
  const TextDelta d = stream.push(finish_event({}, FinishReason::kStop, 2));
  EXPECT_EQ(d.text, "z");
  EXPECT_EQ(d.finish->usage.completion_tokens, 2);
  EXPECT_FALSE(d.stop_string);
}

TEST(TextStream, SplitCharactersWaitAndBrokenOnesShowOnlyAtTheEnd) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {}, {});
  EXPECT_EQ(stream.push(event({0xF0})).text, "");
  EXPECT_EQ(stream.push(event({0x9F})).text, "");
  EXPECT_EQ(stream.push(event({0x98})).text, "");
  TextDelta d = stream.push(event({0x80}));
  EXPECT_EQ(d.text, "\xF0\x9F\x98\x80");
  EXPECT_EQ(d.text_offsets, std::vector<int>{0});
  d = stream.push(event({'x', 0xE2}));
  EXPECT_EQ(d.text, "x");
  EXPECT_EQ(d.text_offsets, (std::vector<int>{1, 2}));
  EXPECT_EQ(stream.push(finish_event({0x82}, FinishReason::kLength, 7)).text, kReplacement);
}

TEST(TextStream, BrokenTextAtTheEndCanCompleteAStopString) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {.stop = {"x" + kReplacement}}, {});
  EXPECT_EQ(stream.push(event({'x', 0xE2})).text, "");
  const TextDelta d = stream.push(finish_event({}, FinishReason::kStop, 3));
  EXPECT_EQ(d.text, "");
  EXPECT_EQ(d.stop_string, "x" + kReplacement);
  EXPECT_FALSE(d.cancel);
}

TEST(TextStream, SpecialTokensAreHiddenOrShown) {
  const FakeTokenizer tokenizer;
  for (const bool skip : {true, false}) {
    TextStream stream(tokenizer, {.skip_special_tokens = skip}, {});
    const TextDelta d = stream.push(event({'a', FakeTokenizer::kImEnd, 'b'}));
    EXPECT_EQ(d.text, skip ? "ab" : "a<|im_end|>b");
    EXPECT_EQ(d.tokens.size(), 3U);
    EXPECT_EQ(d.text_offsets, skip ? (std::vector<int>{0, 1, 1}) : (std::vector<int>{0, 1, 11}));
  }
}

TEST(TextStream, AnErrorKeepsWhatWasSaid) {
  const FakeTokenizer tokenizer;
  TextStream stream(tokenizer, {.stop = {"abc"}}, {});
  EXPECT_EQ(stream.push(event({'a', 'b'})).text, "");
  TokenEvent e = finish_event({}, FinishReason::kError, 2);
  e.finish->message = "the model produced NaN";
  const TextDelta d = stream.push(std::move(e));
  EXPECT_EQ(d.text, "ab");
  EXPECT_EQ(d.finish->reason, FinishReason::kError);
  EXPECT_EQ(d.finish->message, "the model produced NaN");
}

TEST(TextStream, IsLinearInTheLengthOfTheOutput) {
  const FakeTokenizer tokenizer;
  // Four times as much takes four times as long; with a look at the whole text for each token it would be
  // sixteen.
  const auto seconds = [&](int count) {
    return testing::best_cpu_seconds([&] {
      TextStream stream(tokenizer, {.stop = {std::string(50, 'a') + "b"}},
                        {});  // nearly everything is withheld once
      size_t bytes = 0;
      for (int i = 0; i < count; ++i) bytes += stream.push(event({'a'})).text.size();
      bytes += stream.push(finish_event({}, FinishReason::kStop, count + 1)).text.size();
      EXPECT_EQ(bytes, static_cast<size_t>(count));
    });
  };
  EXPECT_LT(seconds(80'000), 10 * seconds(20'000));
}

// The whole text by definition: decode everything, cut at the stop string that ends first (the longest of
// those).
std::string naive_text(const std::string& full, const std::vector<std::string>& stops, bool include) {
  for (size_t end = 1; end <= full.size(); ++end) {
    size_t longest = 0;
    for (const std::string& s : stops)
      if (full.substr(0, end).ends_with(s)) longest = std::max(longest, s.size());
    if (longest > 0) return full.substr(0, include ? end : end - longest);
  }
  return full;
}

TEST(TextStream, RandomTokensInRandomEventsEqualNaiveSearchOnTheFullText) {
  std::mt19937 rng(5);
  const FakeTokenizer tokenizer({.extra_tokens = {"ab", "ba", "aab", "é", "\xC3", "日本", "a b", "bé"}});
  const std::vector<std::string> pieces{"a", "b", "ab", "é", "本", " "};
  int stopped = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = 0, n = rng() % 4; i < n; ++i) {
      std::string s;
      for (size_t j = 0, m = 1 + rng() % 3; j < m; ++j) s += pieces[rng() % pieces.size()];
      stops.push_back(s);
    }
    std::vector<TokenId> tokens;
    for (size_t i = 0, n = rng() % 15; i < n; ++i) {
      const std::vector<TokenId> bytes{'a', 'b', 0xC3, 0xA9, FakeTokenizer::kImEnd};
      tokens.push_back(rng() % 2 == 0 ? bytes[rng() % bytes.size()]
                                      : FakeTokenizer::kFirstExtra + static_cast<TokenId>(rng() % 8));
    }
    const bool include = rng() % 2 == 0;
    const bool skip = rng() % 2 == 0;
    const std::string full = tokenizer.decode(tokens, skip);
    TextStream stream(
        tokenizer, {.stop = stops, .include_stop_str_in_output = include, .skip_special_tokens = skip}, {});
    Whole whole;
    size_t at = 0;
    const bool end_with_last = rng() % 2 == 0;
    while (at < tokens.size()) {
      const size_t n = std::min<size_t>(rng() % 4, tokens.size() - at);
      const auto begin = tokens.begin() + static_cast<std::ptrdiff_t>(at);
      std::vector<TokenId> some(begin, begin + static_cast<std::ptrdiff_t>(n));
      at += n;
      whole.add(end_with_last && at == tokens.size()
                    ? stream.push(finish_event(std::move(some), FinishReason::kLength, static_cast<int>(at)))
                    : stream.push(event(std::move(some))));
    }
    whole.add(stream.push(finish_event({}, FinishReason::kStop, static_cast<int>(at) + 1)));
    ASSERT_EQ(whole.text, naive_text(full, stops, include)) << full;
    ASSERT_EQ(whole.num_finishes, 1);
    ASSERT_EQ(whole.tokens.size(), whole.offsets.size());
    ASSERT_EQ(whole.tokens.size(), whole.logprobs.size());
    for (size_t i = 0; i < whole.tokens.size(); ++i) {
      ASSERT_EQ(whole.tokens[i], tokens[i]);
      ASSERT_EQ(whole.logprobs[i].chosen.token, tokens[i]);
    }
    ASSERT_TRUE(std::is_sorted(whole.offsets.begin(), whole.offsets.end()));
    if (whole.last->stop_string) {
      ++stopped;
      ASSERT_EQ(whole.last->usage.completion_tokens, static_cast<int>(whole.tokens.size()));
    } else {
      ASSERT_EQ(whole.tokens, tokens);
    }
  }
  EXPECT_GT(stopped, 5000);
}

// A SentencePiece decoder drops the space at the very start of a text. After a prompt it is not at the start.
TEST(TextStream, KeepsTheSpaceOfTheFirstWordAfterAPrompt) {
  const auto tokenizer = pegainfer::testing::load(pegainfer::testing::sentencepiece_json());
  const auto text_of = [&](std::span<const TokenId> prompt, std::string_view text) {
    TextStream stream(*tokenizer, {}, prompt);
    const auto ids = pegainfer::testing::encode(*tokenizer, text);
    return stream.push(finish_event(ids, FinishReason::kLength, static_cast<int>(ids.size()))).text;
  };
  const auto prompt = pegainfer::testing::encode(*tokenizer, "the", true);
  ASSERT_TRUE(tokenizer->is_special(prompt[0]));
  EXPECT_EQ(text_of(prompt, "the"), " the");
  EXPECT_EQ(text_of(std::span(prompt).first(1), "the"), "the");  // BOS alone is no text
  // A prompt that ends inside a character leaves nothing behind.
  const std::vector<TokenId> broken{prompt[0], tokenizer->token_to_id("<0xF0>"),
                                    tokenizer->token_to_id("<0x9F>")};
  ASSERT_GE(broken[1], 0);
  EXPECT_EQ(text_of(broken, "the"), " the");
}

}  // namespace
}  // namespace pegainfer

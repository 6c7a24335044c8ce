#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tokenizer/small_tokenizers.h"
#include "tokenizer/tokenizer_loader.h"

namespace pegainfer {
namespace {

using ::testing::AllOf;
using testing::encode;
using ::testing::HasSubstr;

std::shared_ptr<const Tokenizer> make(const GgufVocab& vocab) {
  auto t = make_tokenizer(vocab);
  if (!t) {
    ADD_FAILURE() << t.error().message;
    std::abort();
  }
  return *std::move(t);
}
std::string error_of(const GgufVocab& vocab) {
  auto t = make_tokenizer(vocab);
  return t ? "" : t.error().message;
}

std::vector<std::string> pieces(const Tokenizer& t, std::string_view text) {
  std::vector<std::string> out;
  for (const TokenId id : encode(t, text)) out.push_back(t.token_text(id));
  return out;
}

TEST(Gguf, PreTypesCutDifferently) {
  using V = std::vector<std::string>;
  GgufVocab vocab = testing::byte_level_gguf("");
  vocab.tokens.insert(vocab.tokens.end(), {"12", "123", "!!", ".x", "Ġ1"});
  vocab.token_types.insert(vocab.token_types.end(), 5, 1);
  vocab.merges.insert(vocab.merges.end(), {"1 2", "12 3", "! !", ". x", "Ġ 1"});
  const auto with = [&](const char* pre) {
    vocab.pre = pre;
    return make(vocab);
  };
  EXPECT_EQ(pieces(*with("smollm"), "123 1.x"), (V{"1", "2", "3", " ", "1", ".", "x"}));
  EXPECT_EQ(pieces(*with("qwen2"), "123 1.x"), (V{"1", "2", "3", " ", "1", ".x"}));
  EXPECT_EQ(pieces(*with("llama-bpe"), "1231 1.x"), (V{"123", "1", " ", "1", ".x"}));
  EXPECT_EQ(pieces(*with("gpt-2"), "1231 1.x"), (V{"123", "1", " 1", ".", "x"}));
  EXPECT_EQ(pieces(*with("default"), "1231 1!!.x"), (V{"123", "1", " ", "1", "!!", ".", "x"}));
  EXPECT_EQ(pieces(*with(""), "1231"), (V{"123", "1"}));  // a file that does not say is "default"
}

TEST(Gguf, LlamaBpeTakesWholeTokens) {
  GgufVocab vocab = testing::byte_level_gguf("llama-bpe");
  vocab.tokens.emplace_back("unmergeable");
  vocab.token_types.push_back(1);
  EXPECT_EQ(pieces(*make(vocab), "unmergeable").size(), 1U);
  vocab.pre = "qwen2";
  EXPECT_EQ(pieces(*make(vocab), "unmergeable").size(), 11U);
}

TEST(Gguf, TokenTypes) {
  const auto t = make(testing::byte_level_gguf("smollm"));
  const TokenId end = t->token_to_id("<|endoftext|>");
  const TokenId think = t->token_to_id("<think>");
  EXPECT_TRUE(t->is_special(end));
  EXPECT_FALSE(t->is_special(think));
  EXPECT_EQ(encode(*t, "a<think><|endoftext|>"), (std::vector{t->token_to_id("a"), think, end}));
}

TEST(Gguf, BosAndEosAsTheMetadataSays) {
  GgufVocab vocab = testing::byte_level_gguf("smollm");
  vocab.bos_id = 271;
  vocab.eos_id = 272;
  EXPECT_EQ(encode(*make(vocab), "a", true).size(), 1U);
  vocab.add_bos = true;
  vocab.add_eos = true;
  EXPECT_EQ(encode(*make(vocab), "a", true), (std::vector<TokenId>{271, 97, 272}));
  EXPECT_EQ(encode(*make(vocab), "a", false).size(), 1U);
  vocab.bos_id.reset();
  EXPECT_THAT(error_of(vocab), HasSubstr("bos_token_id"));
}

GgufVocab sentencepiece() {
  GgufVocab v;
  v.model = "llama";
  const auto add = [&](std::string token, float score, int32_t type) {
    v.tokens.push_back(std::move(token));
    v.scores.push_back(score);
    v.token_types.push_back(type);
  };
  add("<unk>", 0, 2);
  add("<s>", 0, 3);
  add("</s>", 0, 3);
  for (int b = 0; b < 256; ++b) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(b));
    add(name, 0, 6);
  }
  // Scores as SentencePiece gives them: the earlier merge is the higher.
  add("▁a", -1, 1);
  add("bc", -2, 1);
  add("ab", -3, 1);
  add("abc", -4, 1);
  add("xyz", -5, 1);  // y and z are no tokens of their own, nor is "xy"
  add("yz", -6, 1);
  for (const char* c : {"▁", "a", "b", "c", "x"}) add(c, -7, 1);
  v.bos_id = 1;
  v.eos_id = 2;
  return v;
}

TEST(Gguf, SentencePieceMergesByScore) {
  using V = std::vector<std::string>;
  const auto t = make(sentencepiece());
  EXPECT_EQ(pieces(*t, "abc"), (V{" a", "bc"}));        // " a" has the highest score
  EXPECT_EQ(pieces(*t, "xabc"), (V{" ", "x", "abc"}));  // bc, then a+bc
  EXPECT_EQ(pieces(*t, "xyz"), (V{" ", "xyz"}));        // through characters that are no tokens
  EXPECT_EQ(encode(*t, "y"), (std::vector{t->token_to_id("▁"), t->token_to_id("<0x79>")}));
  EXPECT_EQ(encode(*t, "a", true).front(), 1);  // BOS by default
  EXPECT_EQ(t->decode(encode(*t, " abc  日\n</s>x"), true), " abc  日\n x");
}

TEST(Gguf, SentencePieceWithoutThePrefix) {
  GgufVocab v = sentencepiece();
  v.add_space_prefix = false;
  const auto t = make(v);
  EXPECT_EQ(pieces(*t, "abc"), std::vector<std::string>{"abc"});
  EXPECT_EQ(t->decode(encode(*t, " a"), true), " a");
}

TEST(Gguf, ErrorsNameTheFieldAndWhatIsSupported) {
  GgufVocab vocab = testing::byte_level_gguf("chameleon");
  EXPECT_THAT(error_of(vocab), AllOf(HasSubstr("tokenizer.ggml.pre"), HasSubstr("chameleon"),
                                     HasSubstr("smollm, qwen2, llama-bpe, gpt-2, default")));
  vocab.model = "bert";
  EXPECT_THAT(error_of(vocab),
              AllOf(HasSubstr("tokenizer.ggml.model"), HasSubstr("bert"), HasSubstr("gpt2, llama")));
  vocab = testing::byte_level_gguf("smollm");
  vocab.merges.emplace_back("q q");
  EXPECT_THAT(error_of(vocab), HasSubstr("merges[15]"));
  vocab.merges.back() = "nospace";
  EXPECT_THAT(error_of(vocab), HasSubstr("merges[15]"));
  vocab = testing::byte_level_gguf("smollm");
  vocab.token_types.pop_back();
  EXPECT_THAT(error_of(vocab), HasSubstr("token_type"));
  vocab = testing::byte_level_gguf("smollm");
  vocab.tokens[5] = "\xFF";
  EXPECT_THAT(error_of(vocab), HasSubstr("tokens[5]"));
  vocab = testing::byte_level_gguf("smollm");
  vocab.eos_id = 100000;
  EXPECT_THAT(error_of(vocab), HasSubstr("eos_token_id"));
  vocab = sentencepiece();
  vocab.scores.clear();
  EXPECT_THAT(error_of(vocab), HasSubstr("scores"));
  vocab = sentencepiece();
  vocab.scores[7] = std::nanf("");
  EXPECT_THAT(error_of(vocab), HasSubstr("scores[7]"));
  EXPECT_THAT(error_of(GgufVocab{.model = "gpt2"}), HasSubstr("tokens"));
}

}  // namespace
}  // namespace pegainfer

// The whole tokenizer on small vocabularies; its exactness is the business of the comparison with
// `tokenizers`.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include <ctime>

#include "tokenizer/small_tokenizers.h"
#include "tokenizer/tokenizer_loader.h"

namespace pegainfer {
namespace {

using ::testing::ElementsAre;
using testing::encode;
using testing::load;

TEST(Pipeline, MergesWithinThePiecesOfThePattern) {
  const auto t = load(testing::byte_level_json());
  const auto id = [&](std::string_view token) { return t->token_to_id(token); };
  EXPECT_EQ(encode(*t, "the the world"), (std::vector{id("the"), id("Ġthe"), id("Ġworld")}));
  EXPECT_EQ(encode(*t, "e\xCC\x81"), std::vector{id("Ã©")});                // NFC comes first
  EXPECT_EQ(encode(*t, "\xFF"), (std::vector{id("ï"), id("¿"), id("½")}));  // broken UTF-8 is U+FFFD
  EXPECT_TRUE(encode(*t, "").empty());
}

TEST(Pipeline, TokensWrittenInTheText) {
  const auto t = load(testing::byte_level_json());
  const TokenId end = t->token_to_id("<|endoftext|>");
  const TokenId think = t->token_to_id("<think>");
  EXPECT_EQ(encode(*t, "<think>the<|endoftext|>"), (std::vector{think, t->token_to_id("the"), end}));
  EXPECT_TRUE(t->is_special(end));
  EXPECT_FALSE(t->is_special(think));
  EXPECT_FALSE(t->is_special(-1));
  EXPECT_EQ(t->vocab_size(), think + 1);
  const std::vector<TokenId> ids = encode(*t, "<think>the<|endoftext|>");
  EXPECT_EQ(t->decode(ids, false), "<think>the<|endoftext|>");
  EXPECT_EQ(t->decode(ids, true), "<think>the");
}

TEST(Pipeline, TemplateOnlyWhenAsked) {
  const auto t = load(testing::sentencepiece_json());
  const TokenId ab = t->token_to_id("▁ab");
  EXPECT_EQ(encode(*t, "ab", true), (std::vector{1, ab}));
  EXPECT_EQ(encode(*t, "ab", false), std::vector{ab});
  EXPECT_EQ(t->decode(encode(*t, "ab", true), true), "ab");
}

TEST(Pipeline, ByteFallbackAndItsWayBack) {
  const auto t = load(testing::sentencepiece_json());
  const std::vector<TokenId> ids = encode(*t, "日é");
  EXPECT_EQ(ids, (std::vector{t->token_to_id("▁"), t->token_to_id("<0xE6>"), t->token_to_id("<0x97>"),
                              t->token_to_id("<0xA5>"), t->token_to_id("é")}));
  EXPECT_EQ(t->decode(ids, true), "日é");
  EXPECT_EQ(t->token_bytes(t->token_to_id("<0xE6>")), "\xE6");
  EXPECT_EQ(t->token_text(t->token_to_id("<0xE6>")), "\xEF\xBF\xBD");
  EXPECT_EQ(t->token_text(t->token_to_id("▁ab")), " ab");
}

TEST(Pipeline, IdsOutsideTheVocabularyGiveNothing) {
  const auto t = load(testing::byte_level_json());
  const std::vector<TokenId> ids = {-5, t->token_to_id("the"), 1 << 30};
  EXPECT_EQ(t->decode(ids, false), "the");
  EXPECT_EQ(t->token_bytes(-1), "");
  EXPECT_EQ(t->token_bytes(1 << 30), "");
  EXPECT_EQ(t->token_to_id("no such token"), -1);
}

TEST(Pipeline, StreamAddsUpToDecode) {
  const auto t = load(testing::byte_level_json());
  const std::vector<TokenId> ids = encode(*t, "日本 the <think>😀world<|endoftext|>é");
  for (const bool skip : {false, true}) {
    const auto stream = t->stream(skip);
    std::string all;
    for (const TokenId id : ids) all += stream->append(id);
    all += stream->finish();
    all += stream->finish();  // nothing more
    EXPECT_EQ(all, t->decode(ids, skip));
  }
}

// Sanitizers cost a factor that says nothing about the algorithm.
#if defined(__SANITIZE_ADDRESS__)
constexpr double kLimitSeconds = 30;
#else
constexpr double kLimitSeconds = 2;
#endif

struct LongText {
  const Tokenizer* tokenizer;
  std::string text;
  double cpu_seconds = 0;
  std::string back;
};

// Encodes on a thread with a stack of 256 KiB.
void encode_on_small_stack(LongText& job) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
  pthread_t thread{};
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* p) -> void* {
                  auto& j = *static_cast<LongText*>(p);
                  const std::vector<TokenId> ids = encode(*j.tokenizer, j.text);
                  timespec t{};
                  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
                  j.cpu_seconds = static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
                  j.back = j.tokenizer->decode(ids, false);
                  return nullptr;
                },
                &job),
            0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

class LongTextTest : public ::testing::TestWithParam<std::string> {};

TEST_P(LongTextTest, FourMebibytesOfOneCharacter) {
  std::string text;
  while (text.size() < (size_t{4} << 20)) text += GetParam();
  const auto byte_level = load(testing::byte_level_json());
  const auto sentencepiece = load(testing::sentencepiece_json());
  for (const auto* t : {byte_level.get(), sentencepiece.get()}) {
    LongText job{t, text, 0, {}};
    encode_on_small_stack(job);
    EXPECT_LT(job.cpu_seconds, kLimitSeconds);
    EXPECT_EQ(job.back.size(), text.size());  // NFC may change the order of marks
  }
}

INSTANTIATE_TEST_SUITE_P(Characters, LongTextTest,
                         ::testing::Values("a", " ", "\n", "\xCC\x81", "日", "<", "1", "\r\n ", "ab",
                                           "\xCC\xB4\xCD\x85", "'"));

}  // namespace
}  // namespace pegainfer

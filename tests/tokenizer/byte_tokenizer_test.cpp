#include "tokenizer/byte_tokenizer.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace pegainfer {
namespace {

TEST(ByteTokenizer, EveryTextSurvivesTheWayThereAndBack) {
  const ByteTokenizer tokenizer;
  const std::string text = "grüße, 世界 🎉\n";
  const std::vector<TokenId> ids = tokenizer.encode(text);
  EXPECT_EQ(ids.size(), text.size());
  EXPECT_EQ(tokenizer.decode(ids, true), text);
}

TEST(ByteTokenizer, NoTextIsTheSpecialToken) {
  for (const TokenId id : ByteTokenizer().encode("a<|eos|>")) EXPECT_LT(id, 256);
}

TEST(ByteTokenizer, AStreamGivesWholeCharactersOnly) {
  const ByteTokenizer tokenizer;
  const auto stream = tokenizer.stream(true);
  EXPECT_EQ(stream->append(0xE4), "");
  EXPECT_EQ(stream->append(0xB8), "");
  EXPECT_EQ(stream->append(0x96), "世");
  EXPECT_EQ(stream->append(0xE4), "");
  EXPECT_EQ(stream->append('a'),
            "\xEF\xBF\xBD"
            "a");
  EXPECT_EQ(stream->append(0xE4), "");
  EXPECT_EQ(stream->finish(), "\xEF\xBF\xBD");
}

TEST(ByteTokenizer, TheSpecialTokenIsSkippedOrShown) {
  const ByteTokenizer tokenizer;
  const std::vector<TokenId> ids{'a', ByteTokenizer::kEos, 'b', 9999};
  EXPECT_EQ(tokenizer.decode(ids, true), "ab");
  EXPECT_EQ(tokenizer.decode(ids, false), "a<|eos|>b");
  EXPECT_EQ(tokenizer.token_to_id("<|eos|>"), ByteTokenizer::kEos);
  EXPECT_EQ(tokenizer.token_to_id("a"), 'a');
  EXPECT_EQ(tokenizer.token_to_id("ab"), -1);
}

}  // namespace
}  // namespace pegainfer

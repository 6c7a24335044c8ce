#include "tokenizer/decoder.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace pegainfer {
namespace {

using Kind = DecoderStep::Kind;

// Decodes; every piece must be whole characters, and `pieces` is what came when, separated by '|'.
std::string run(const DecoderSteps& steps, const std::vector<std::string>& tokens,
                std::string* pieces = nullptr) {
  DecodeChain chain(steps);
  std::string all;
  std::string shown;
  const auto take = [&] {
    const std::string piece = chain.take();
    EXPECT_TRUE(utf8::valid(piece));
    all += piece;
    shown += piece + "|";
  };
  for (const std::string& token : tokens) {
    chain.token(token);
    take();
  }
  chain.finish();
  take();
  if (pieces != nullptr) *pieces = shown;
  return all;
}

const DecoderSteps kByteLevel = {{.kind = Kind::kByteLevel}};
const DecoderSteps kLlama = {{.kind = Kind::kReplace, .pattern = "▁", .content = " "},
                             {.kind = Kind::kByteFallback},
                             {.kind = Kind::kFuse},
                             {.kind = Kind::kStrip, .pattern = " ", .start = 1}};

TEST(Decoder, ByteLevelHoldsBackUnfinishedCharacters) {
  std::string pieces;
  EXPECT_EQ(run(kByteLevel, {"æ", "Ĺ", "¥", "Ġa"}, &pieces), "日 a");
  EXPECT_EQ(pieces, "||日| a||");
}

TEST(Decoder, ByteLevelReplacesBrokenParts) {
  EXPECT_EQ(run(kByteLevel, {"æ", "Ĺ", "a", "ÿ", "ð", "Ł"}),
            "\xEF\xBF\xBD"
            "a\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Decoder, ByteLevelTakesOtherTokensAsTheyAre) { EXPECT_EQ(run(kByteLevel, {"<日>", "Ġ"}), "<日> "); }

TEST(Decoder, ByteFallbackRuns) {
  std::string pieces;
  EXPECT_EQ(run(kLlama, {"▁a", "<0xE6>", "<0x97>", "<0xA5>", "▁b"}, &pieces), "a日 b");
  EXPECT_EQ(pieces, "a||||日 b||");
  // One broken byte spoils the run: a replacement for each of its bytes.
  EXPECT_EQ(run(kLlama, {"<0xE6>", "<0x97>", "<0xA5>", "<0xFF>"}),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(run(kLlama, {"<0xZZ>", "<0x41>"}), "<0xZZ>A");
}

TEST(Decoder, StripAfterFuseConcernsTheStartOnly) {
  EXPECT_EQ(run(kLlama, {"▁", "▁a", "▁"}), " a ");
  EXPECT_EQ(run(kLlama, {"a", "▁b"}), "a b");
  EXPECT_EQ(run(kLlama, {}), "");
}

TEST(Decoder, StripAtTheEndOfEachToken) {
  const DecoderSteps steps = {{.kind = Kind::kStrip, .pattern = "_", .start = 1, .stop = 2}};
  EXPECT_EQ(run(steps, {"__a__", "b_c", "d___", "___"}), "_ab_cd_");
}

TEST(Decoder, MetaspaceDropsTheFirstTokensSpaces) {
  DecoderSteps steps = {{.kind = Kind::kMetaspace, .pattern = "▁", .drops_first = true}};
  EXPECT_EQ(run(steps, {"▁a▁b", "▁c"}), "ab c");
  steps[0].drops_first = false;
  EXPECT_EQ(run(steps, {"▁a", "▁c"}), " a c");
}

TEST(Decoder, ReplaceAcrossPartsOfAFusedText) {
  const DecoderSteps steps = {{.kind = Kind::kFuse},
                              {.kind = Kind::kReplace, .pattern = "abc", .content = "X"}};
  std::string pieces;
  EXPECT_EQ(run(steps, {"a", "b", "c", "ab", "abc", "a"}, &pieces), "XabXa");
  EXPECT_EQ(pieces, "||X||abX||a|");
  // Without Fuse each token is looked at alone.
  EXPECT_EQ(run({steps[1]}, {"ab", "c", "abc"}), "abcX");
}

TEST(Decoder, WithoutDecoderTokensAreWords) {
  EXPECT_EQ(run({{.kind = Kind::kJoinWithSpaces}}, {"a", "b", "", "c"}), "a b  c");
}

TEST(Decoder, OneTokenAlone) {
  EXPECT_EQ(decode_one(kLlama, "▁a"), " a");
  EXPECT_EQ(decode_one(kLlama, "<0xE6>"), "\xE6");
  EXPECT_EQ(decode_one(kByteLevel, "Ġæ"), " \xE6");
}

}  // namespace
}  // namespace pegainfer

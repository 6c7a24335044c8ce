#include <gtest/gtest.h>

#include <string>

#include "bench/completion_stream.h"

namespace pegainfer::bench {
namespace {

std::string chunk(const std::string& text, const std::string& finish = "null") {
  return R"(data: {"choices":[{"index":0,"text":")" + text + R"(","finish_reason":)" + finish + "}]}\n\n";
}

TEST(CompletionStream, TimesOfTokens) {
  RequestOutcome outcome;
  outcome.start = 1;
  CompletionStream stream(outcome, true);
  stream.feed(chunk("a"), 1.5);
  stream.feed(": a comment\n\n" + chunk("b"), 1.75);
  stream.feed(chunk("c", "\"length\""), 2.25);
  stream.feed("data: [DONE]\n\n", 2.3);
  stream.finish();
  EXPECT_TRUE(outcome.success) << outcome.error;
  EXPECT_EQ(outcome.text, "abc");
  EXPECT_EQ(outcome.output_len, 3);
  EXPECT_DOUBLE_EQ(outcome.ttft, 0.5);
  EXPECT_DOUBLE_EQ(outcome.latency, 1.25);
  ASSERT_EQ(outcome.itls.size(), 2U);
  EXPECT_DOUBLE_EQ(outcome.itls[0], 0.25);
  EXPECT_DOUBLE_EQ(outcome.itls[1], 0.5);
}

TEST(CompletionStream, UsageCountsTokensWhateverTheChunks) {
  RequestOutcome outcome;
  CompletionStream stream(outcome, false);
  stream.feed(chunk("ab", "\"stop\""), 1);
  stream.feed(
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":4,\"completion_tokens\":17}}\n\ndata: [DONE]\n\n",
      1.1);
  stream.finish();
  EXPECT_TRUE(outcome.success);
  EXPECT_EQ(outcome.output_len, 17);
}

// The model's first token was the end of the text: an answer like others, of one token that has no text.
TEST(CompletionStream, AnEmptyAnswerIsOne) {
  RequestOutcome outcome;
  outcome.start = 1;
  CompletionStream stream(outcome, true);
  stream.feed(chunk("", "\"stop\"") + "data: [DONE]\n\n", 1.5);
  stream.finish();
  EXPECT_TRUE(outcome.success) << outcome.error;
  EXPECT_EQ(outcome.text, "");
  EXPECT_EQ(outcome.output_len, 1);
  EXPECT_DOUBLE_EQ(outcome.ttft, 0.5);

  RequestOutcome nothing;
  CompletionStream none(nothing, true);
  none.feed("data: [DONE]\n\n", 1.5);
  none.finish();
  EXPECT_FALSE(nothing.success);
  EXPECT_EQ(nothing.error, "an answer without tokens");
}

// However the bytes are cut, the text and the number of tokens are the same.
TEST(CompletionStream, CutAnywhere) {
  const std::string all = chunk("x") + chunk("y", "\"stop\"") + "data: [DONE]\n\n";
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    RequestOutcome outcome;
    CompletionStream stream(outcome, true);
    stream.feed(all.substr(0, cut), 1);
    stream.feed(all.substr(cut), 2);
    stream.finish();
    EXPECT_TRUE(outcome.success) << cut;
    EXPECT_EQ(outcome.text, "xy") << cut;
  }
}

TEST(CompletionStream, ATruncatedOrFailedOneIsNoSuccess) {
  RequestOutcome truncated;
  CompletionStream a(truncated, false);
  a.feed(chunk("x"), 1);
  a.finish();
  EXPECT_FALSE(truncated.success);
  EXPECT_FALSE(truncated.error.empty());

  RequestOutcome failed;
  CompletionStream b(failed, false);
  b.feed(chunk("x") + "data: {\"error\":{\"message\":\"no more\",\"code\":\"x\"}}\n\ndata: [DONE]\n\n", 1);
  b.finish();
  EXPECT_FALSE(failed.success);
  EXPECT_NE(failed.error.find("no more"), std::string::npos);
}

}  // namespace
}  // namespace pegainfer::bench

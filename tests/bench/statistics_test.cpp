#include "bench/statistics.h"

#include <gtest/gtest.h>

#include <vector>

#include "bench/report.h"

namespace pegainfer::bench {
namespace {

// numpy.percentile([15, 20, 35, 40, 50], p)
TEST(Statistics, PercentilesAreNumpys) {
  const std::vector<double> values{15, 20, 35, 40, 50};
  EXPECT_DOUBLE_EQ(percentile(values, 0), 15);
  EXPECT_DOUBLE_EQ(percentile(values, 40), 29);
  EXPECT_DOUBLE_EQ(percentile(values, 50), 35);
  EXPECT_DOUBLE_EQ(percentile(values, 99), 49.6);
  EXPECT_DOUBLE_EQ(percentile(values, 100), 50);
  EXPECT_DOUBLE_EQ(percentile({}, 50), 0);
  EXPECT_DOUBLE_EQ(percentile({7}, 99), 7);
}

TEST(Statistics, SummaryOfUnsortedValues) {
  const Summary s = summarize({4, 1, 3, 2}, {25, 90});
  EXPECT_DOUBLE_EQ(s.mean, 2.5);
  EXPECT_DOUBLE_EQ(s.median, 2.5);
  EXPECT_NEAR(s.std, 1.118034, 1e-6);
  ASSERT_EQ(s.percentiles.size(), 2U);
  EXPECT_DOUBLE_EQ(s.percentiles[0].second, 1.75);
  EXPECT_DOUBLE_EQ(s.percentiles[1].second, 3.7);
  EXPECT_EQ(summarize({}, {99}).mean, 0);
}

// Two answers of three tokens, one failure: what vllm's definitions make of them.
TEST(Report, FiguresOfAKnownRun) {
  RequestOutcome a;
  a.success = true;
  a.prompt_len = 10;
  a.output_len = 3;
  a.start = 0;
  a.ttft = 0.1;
  a.latency = 0.3;
  a.itls = {0.1, 0.1};
  RequestOutcome b = a;
  b.start = 0.2;
  b.ttft = 0.2;
  b.latency = 0.8;
  b.itls = {0.2, 0.4};
  RequestOutcome failed;
  failed.prompt_len = 99;
  failed.error = "429: full";
  const BenchReport r = make_report({a, b, failed}, 2.0, {});
  EXPECT_EQ(r.completed, 2);
  EXPECT_EQ(r.failed, 1);
  EXPECT_EQ(r.total_input, 20);
  EXPECT_EQ(r.total_output, 6);
  EXPECT_DOUBLE_EQ(r.request_throughput, 1);
  EXPECT_DOUBLE_EQ(r.output_throughput, 3);
  EXPECT_DOUBLE_EQ(r.total_token_throughput, 13);
  EXPECT_EQ(r.peak_concurrency, 2);
  EXPECT_NEAR(r.ttft.mean, 150, 1e-9);
  EXPECT_NEAR(r.tpot.mean, (100 + 300) / 2.0, 1e-9);  // (latency - ttft) / (tokens - 1)
  EXPECT_NEAR(r.itl.mean, 200, 1e-9);
  EXPECT_NEAR(r.e2el.median, 550, 1e-9);
  const std::string text = report_text(r);
  for (const char* line : {"Successful requests:", "Failed requests:", "Output token throughput (tok/s):",
                           "Mean TTFT (ms):", "P99 TPOT (ms):", "Median ITL (ms):", "P99 E2EL (ms):"})
    EXPECT_NE(text.find(line), std::string::npos) << line;
  EXPECT_NE(error_lines({a, b, failed}).find("429: full"), std::string::npos);
}

}  // namespace
}  // namespace pegainfer::bench

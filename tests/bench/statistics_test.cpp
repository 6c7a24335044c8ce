#include "bench/statistics.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
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

class ReportJson : public ::testing::Test {
 protected:
  ReportJson() {
    good_.success = true;
    good_.prompt_len = 10;
    good_.output_len = 3;
    good_.start = 0.5;
    good_.ttft = 0.1;
    good_.latency = 0.4;
    good_.itls = {0.1, 0.2};
    good_.text = "a \"b\"\n";
    bad_.prompt_len = 5;
    bad_.error = "429: full";
  }
  [[nodiscard]] json::Object write(ReportOptions options, bool detailed = false) const {
    const std::vector<RequestOutcome> outcomes{good_, bad_};
    const BenchReport report = make_report(outcomes, 2, std::move(options));
    const RunFacts facts{.date = "20260101-000000",
                         .backend = "openai",
                         .model_id = "m",
                         .tokenizer_id = "t",
                         .num_prompts = 2};
    return json::parse(report_json(report, facts, outcomes, detailed))->as_object();
  }
  static double number(const json::Object& object, const char* key) {
    return object.at(key).to_number<double>();  // 4.0 is written as 4
  }
  RequestOutcome good_, bad_;
};

TEST_F(ReportJson, FiguresUnderVllmsNames) {
  ReportOptions options;
  options.percentiles = {50, 99.9};
  options.request_rate = 4;
  options.max_concurrency = 7;
  const json::Object o = write(options);
  EXPECT_EQ(o.at("date"), "20260101-000000");
  EXPECT_EQ(o.at("backend"), "openai");
  EXPECT_EQ(o.at("model_id"), "m");
  EXPECT_EQ(o.at("tokenizer_id"), "t");
  EXPECT_EQ(number(o, "num_prompts"), 2);
  EXPECT_EQ(number(o, "completed"), 1);
  EXPECT_EQ(number(o, "failed"), 1);
  EXPECT_EQ(number(o, "request_rate"), 4.0);
  EXPECT_EQ(number(o, "max_concurrency"), 7);
  EXPECT_EQ(number(o, "duration"), 2.0);
  EXPECT_EQ(number(o, "total_input_tokens"), 10);
  EXPECT_EQ(number(o, "total_output_tokens"), 3);
  EXPECT_EQ(number(o, "request_throughput"), 0.5);
  EXPECT_EQ(number(o, "output_throughput"), 1.5);
  EXPECT_EQ(number(o, "total_token_throughput"), 6.5);
  EXPECT_TRUE(o.at("request_goodput").is_null());
  EXPECT_NEAR(number(o, "mean_ttft_ms"), 100, 1e-9);
  EXPECT_NEAR(number(o, "mean_tpot_ms"), 150, 1e-9);
  EXPECT_NEAR(number(o, "median_itl_ms"), 150, 1e-9);
  EXPECT_NEAR(number(o, "std_itl_ms"), 50, 1e-9);
  EXPECT_NEAR(number(o, "p50_e2el_ms"), 400, 1e-9);
  EXPECT_NEAR(number(o, "p99.9_itl_ms"), 199.9, 1e-9);
  EXPECT_FALSE(o.contains("p99_itl_ms"));
  EXPECT_FALSE(o.contains("errors"));
}

TEST_F(ReportJson, NoLimitsAndFewerMetrics) {
  ReportOptions options;
  options.metrics = {"tpot"};
  const json::Object o = write(options);
  EXPECT_EQ(o.at("request_rate"), "inf");
  EXPECT_TRUE(o.at("max_concurrency").is_null());
  EXPECT_TRUE(o.contains("mean_tpot_ms"));
  EXPECT_FALSE(o.contains("mean_ttft_ms"));
}

TEST_F(ReportJson, DetailsAreOfEveryRequestInOrder) {
  const json::Object o = write({}, true);
  EXPECT_EQ(json::dump(o.at("input_lens")), "[10,5]");
  EXPECT_EQ(json::dump(o.at("output_lens")), "[3,0]");
  EXPECT_EQ(json::dump(o.at("errors")), R"(["","429: full"])");
  EXPECT_EQ(o.at("generated_texts").as_array().at(0), "a \"b\"\n");
  EXPECT_EQ(o.at("itls").as_array().at(0).as_array().size(), 2U);
  EXPECT_EQ(o.at("itls").as_array().at(1).as_array().size(), 0U);
  EXPECT_EQ(o.at("start_times").as_array().at(0), 0.5);
  EXPECT_EQ(o.at("ttfts").as_array().at(0), 0.1);
}

}  // namespace
}  // namespace pegainfer::bench

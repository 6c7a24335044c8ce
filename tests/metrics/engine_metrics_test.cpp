// What each call of the observer does to the page; the intervals are vLLM's.
#include "metrics/engine_metrics.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "metrics/exposition.h"
#include "support/fake_engine.h"
#include "support/observer_cost.h"

namespace pegainfer::metrics {
namespace {

using pegainfer::testing::Exposition;
using pegainfer::testing::FakeEngine;
using pegainfer::testing::parse_exposition;
using std::chrono::milliseconds;

const TimePoint kStart{std::chrono::hours(100)};
TimePoint at(int ms) { return kStart + milliseconds(ms); }

class EngineMetricsTest : public ::testing::Test {
 protected:
  EngineMetricsTest() { metrics_.attach(engine_, "tiny", {{"cache_dtype", "auto"}}); }

  [[nodiscard]] Exposition page() const {
    MetricsPage page;
    metrics_.collect(page);
    auto parsed = parse_exposition(page.text());
    if (!parsed) ADD_FAILURE() << parsed.error().message;
    return std::move(parsed).value_or({});
  }
  void queue(uint64_t id, int num_prompt_tokens, int max_tokens, uint64_t group = 0) {
    metrics_.on_queued({.id = RequestId{id},
                        .num_prompt_tokens = num_prompt_tokens,
                        .max_tokens = max_tokens,
                        .group = group,
                        .arrival = at(0)},
                       at(0));
  }
  void finish(uint64_t id, FinishReason reason, int prompt, int completion, const RequestTimes& times = {}) {
    metrics_.on_finished(RequestId{id}, {.reason = reason, .usage = {prompt, completion, 0}}, times);
  }

  std::shared_ptr<FakeEngine> engine_ = std::make_shared<FakeEngine>();
  EngineMetrics metrics_;
};

TEST_F(EngineMetricsTest, IntervalsOfOneRequest) {
  queue(1, 30, 100);
  metrics_.on_tokens(RequestId{1}, 1, true, 0.7, at(700));
  metrics_.on_tokens(RequestId{1}, 1, false, 0.02, at(720));
  metrics_.on_tokens(RequestId{1}, 1, false, 0.12, at(840));
  finish(1, FinishReason::kLength, 30, 3,
         {.arrival = at(0),
          .queued = at(100),
          .scheduled = at(300),
          .first_token = at(700),
          .last_token = at(840),
          .finished = at(850)});
  const Exposition p = page();
  EXPECT_DOUBLE_EQ(p.value("vllm:time_to_first_token_seconds_sum"), 0.7);
  EXPECT_EQ(p.value("vllm:time_to_first_token_seconds_bucket", {{"le", "0.5"}}), 0);
  EXPECT_EQ(p.value("vllm:time_to_first_token_seconds_bucket", {{"le", "0.75"}}), 1);
  EXPECT_DOUBLE_EQ(p.value("vllm:inter_token_latency_seconds_sum"), 0.14);
  EXPECT_EQ(p.value("vllm:inter_token_latency_seconds_count"), 2);
  EXPECT_EQ(p.value("vllm:time_per_output_token_seconds_count"), 2);
  EXPECT_NEAR(p.value("vllm:request_time_per_output_token_seconds_sum"), 0.07, 1e-9);
  EXPECT_NEAR(p.value("vllm:e2e_request_latency_seconds_sum"), 0.85, 1e-9);
  EXPECT_NEAR(p.value("vllm:request_queue_time_seconds_sum"), 0.2, 1e-9);
  EXPECT_NEAR(p.value("vllm:request_prefill_time_seconds_sum"), 0.4, 1e-9);
  EXPECT_NEAR(p.value("vllm:request_decode_time_seconds_sum"), 0.14, 1e-9);
  EXPECT_NEAR(p.value("vllm:request_inference_time_seconds_sum"), 0.54, 1e-9);
  EXPECT_EQ(p.value("vllm:request_prompt_tokens_sum"), 30);
  EXPECT_EQ(p.value("vllm:request_generation_tokens_sum"), 3);
  EXPECT_EQ(p.value("vllm:request_params_max_tokens_sum"), 100);
  EXPECT_EQ(p.value("vllm:request_params_n_sum"), 1);
  EXPECT_EQ(p.value("vllm:request_max_num_generation_tokens_sum"), 3);
  EXPECT_EQ(p.value("vllm:request_success_total", {{"finished_reason", "length"}}), 1);
}

TEST_F(EngineMetricsTest, ARequestThatNeverRanHasNoIntervalsButItsWhole) {
  queue(1, 30, 100);
  finish(1, FinishReason::kTimeout, 30, 0, {.arrival = at(0), .queued = at(10), .finished = at(500)});
  const Exposition p = page();
  EXPECT_EQ(p.value("vllm:e2e_request_latency_seconds_count"), 1);
  EXPECT_EQ(p.value("vllm:request_queue_time_seconds_count"), 0);
  EXPECT_EQ(p.value("vllm:request_prefill_time_seconds_count"), 0);
  EXPECT_EQ(p.value("vllm:request_success_total", {{"finished_reason", "timeout"}}), 1);
}

TEST_F(EngineMetricsTest, ChoicesOfOnePromptAreOneRequest) {
  for (const uint64_t id : {1, 2, 3}) queue(id, 10, 50, 9);
  queue(4, 10, 50);
  finish(2, FinishReason::kStop, 10, 7);
  finish(1, FinishReason::kStop, 10, 40);
  EXPECT_EQ(page().value("vllm:request_params_n_count"), 0);
  finish(3, FinishReason::kStop, 10, 3);
  finish(4, FinishReason::kStop, 10, 5);
  const Exposition p = page();
  EXPECT_EQ(p.value("vllm:request_params_n_count"), 2);
  EXPECT_EQ(p.value("vllm:request_params_n_sum"), 4);
  EXPECT_EQ(p.value("vllm:request_max_num_generation_tokens_sum"), 45);
  EXPECT_EQ(p.value("vllm:request_generation_tokens_count"), 4);
}

TEST_F(EngineMetricsTest, LabelsAndTypesAreVllms) {
  const Exposition p = page();
  const auto& family = p.families.at("vllm:num_requests_running");
  EXPECT_EQ(family.type, "gauge");
  EXPECT_EQ(family.samples.at(0).labels,
            (std::map<std::string, std::string>{{"model_name", "tiny"}, {"engine", "0"}}));
  EXPECT_EQ(p.families.at("vllm:num_preemptions_total").type, "counter");
  EXPECT_EQ(p.families.at("vllm:iteration_tokens_total").type, "histogram");
  EXPECT_EQ(p.families.at("vllm:request_success_total").samples.size(), 5U);
  EXPECT_EQ(p.families.at("vllm:time_to_first_token_seconds").samples.size(), 2U + 23U);
  const auto& config = p.families.at("vllm:cache_config_info").samples.at(0);
  EXPECT_EQ(config.labels.at("cache_dtype"), "auto");
  EXPECT_EQ(config.labels.at("block_size"), std::to_string(engine_->info().block_size));
}

TEST_F(EngineMetricsTest, DoesNotKeepTheEngineAlive) {
  engine_.reset();
  MetricsPage page;
  metrics_.collect(page);
  EXPECT_EQ(page.text(), "");
}

// The bound is one that a busy machine keeps; docs/performance/observability.md has what was measured.
TEST_F(EngineMetricsTest, AStepOf256RowsCostsLittle) {
  const double us = pegainfer::testing::observer_us_per_step(metrics_, 256);
  std::printf("metrics: %.2f us a step of 256 rows\n", us);
#ifdef NDEBUG
  EXPECT_LT(us, 15);
#endif
}

}  // namespace
}  // namespace pegainfer::metrics

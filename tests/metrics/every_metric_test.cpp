// Every metric that is shown moves: an engine that queues, refuses, preempts, hits its prefix cache, and
// whose requests end in every way there is. And the counters are the sums of what clients were told.
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "engine/llm_engine.h"
#include "metrics/engine_metrics.h"
#include "metrics/exposition.h"
#include "metrics/http_metrics.h"
#include "metrics/process_metrics.h"
#include "support/fake_executor.h"

namespace pegainfer::metrics {
namespace {

using pegainfer::testing::Exposition;
using pegainfer::testing::FakeExecutor;
using pegainfer::testing::FakeExecutorOptions;
using std::chrono::steady_clock;

constexpr TokenId kEos = 0;
constexpr int kNumBlocks = 13;  // with the null block: 48 positions
// Where the model says the end, and where it says no number.
constexpr int kEosPosition = 40;
constexpr int kNanPosition = 36;

class EveryMetricTest : public ::testing::TestWithParam<int> {
 protected:
  EveryMetricTest() {
    LlmEngineOptions options;
    options.info = {.model_name = "tiny",
                    .vocab_size = 1000,
                    .max_model_len = 48,
                    .num_kv_blocks = kNumBlocks,
                    .block_size = 4,
                    .eos_token_ids = {kEos}};
    options.max_num_seqs = 2;
    options.max_num_batched_tokens = 16;
    options.max_queued_requests = 2;
    options.max_queued_tokens = 40;
    options.observers = {metrics_};
    FakeExecutorOptions fake;
    fake.num_kv_blocks = kNumBlocks;
    fake.depth = GetParam();
    fake.on_collect = [this](const StepPlan&) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !held_; });
    };
    fake.choose = [](uint64_t hash, int position) -> TokenId {
      if (position == kEosPosition) return kEos;
      if (position == kNanPosition) return -1;
      return 1 + static_cast<TokenId>(hash % 900);
    };
    engine_ = std::make_shared<LlmEngine>(options, std::make_unique<FakeExecutor>(fake));
    metrics_->attach(engine_, "tiny");
  }
  ~EveryMetricTest() override { hold(false); }

  void hold(bool held) {
    const std::lock_guard lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }

  // The prompt is `length` tokens that begin with `first`.
  Result<RequestId> submit(int first, int length, int max_tokens, uint64_t group = 0,
                           std::optional<TimePoint> deadline = {}) {
    GenerateRequest request;
    request.prompt.resize(static_cast<size_t>(length));
    std::iota(request.prompt.begin(), request.prompt.end(), first);
    request.sampling.max_tokens = max_tokens;
    request.sampling.temperature = 0;
    request.group = group;
    request.deadline = deadline;
    request.sink = [this](const TokenEvent& event) {
      if (!event.finish) return;
      const std::lock_guard lock(mutex_);
      ends_.push_back(*event.finish);
      changed_.notify_all();
    };
    auto id = engine_->submit(std::move(request));
    if (id) ++num_submitted_;
    return id;
  }
  void wait_all() {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(20), [&] { return ends_.size() == num_submitted_; }))
        << ends_.size() << " of " << num_submitted_ << " have ended";
  }
  template <class Condition>
  void wait_stats(Condition condition) {
    const auto deadline = steady_clock::now() + std::chrono::seconds(20);
    while (!condition(engine_->stats()) && steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ASSERT_TRUE(condition(engine_->stats()));
  }
  [[nodiscard]] Exposition page() const {
    auto parsed = pegainfer::testing::parse_exposition(
        render({metrics_, http_, std::make_shared<ProcessMetrics>(), std::make_shared<BuildInfo>("1.2.3")}));
    if (!parsed) ADD_FAILURE() << parsed.error().message;
    return std::move(parsed).value_or({});
  }

  void queue_and_refuse(Exposition& busy);
  void end_in_every_way();

  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  std::vector<Finish> ends_;
  size_t num_submitted_ = 0;
  std::shared_ptr<EngineMetrics> metrics_ = std::make_shared<EngineMetrics>();
  std::shared_ptr<HttpMetrics> http_ = std::make_shared<HttpMetrics>();
  std::shared_ptr<LlmEngine> engine_;
};

// One runs, others wait, and there is no place for more.
void EveryMetricTest::queue_and_refuse(Exposition& busy) {
  hold(true);
  ASSERT_TRUE(submit(100, 10, 20));
  wait_stats([](const EngineStats& s) { return s.num_running == 1; });
  ASSERT_TRUE(submit(200, 10, 20));
  ASSERT_TRUE(submit(300, 25, 4));
  EXPECT_FALSE(engine_->reserve(30));  // too many tokens wait
  ASSERT_TRUE(submit(400, 3, 4));
  EXPECT_FALSE(submit(500, 1, 1));  // too many requests wait
  busy = page();
  hold(false);
  wait_all();
}

void EveryMetricTest::end_in_every_way() {
  ASSERT_TRUE(submit(100, 10, 2));  // length, found in the prefix cache
  wait_all();
  ASSERT_TRUE(submit(600, kNanPosition + 2, 5));  // stop
  wait_all();
  ASSERT_TRUE(submit(700, kNanPosition, 5));  // error
  wait_all();
  ASSERT_TRUE(submit(800, 5, 3, 0, steady_clock::now() - std::chrono::seconds(1)));  // timeout
  wait_all();
  const uint64_t group = engine_->new_group();
  ASSERT_TRUE(submit(900, 5, 3, group));
  ASSERT_TRUE(submit(900, 5, 3, group));
  wait_all();
  hold(true);
  const auto cancelled = submit(950, 5, 30);
  ASSERT_TRUE(cancelled);
  wait_stats([](const EngineStats& s) { return s.num_running == 1; });
  engine_->cancel(*cancelled);
  hold(false);
  wait_all();
  // With two steps under way the blocks of a cancelled request are held until its last one is collected.
  wait_stats([](const EngineStats& s) { return s.num_free_blocks == s.num_total_blocks; });
}

TEST_P(EveryMetricTest, EveryOneMoves) {
  Exposition busy;
  queue_and_refuse(busy);
  end_in_every_way();
  http_->observe("POST", "/v1/completions", 200, 0.25);
  const Exposition rest = page();

  const std::set<std::string> only_while_busy = {"vllm:num_requests_running", "vllm:num_requests_waiting",
                                                 "vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc",
                                                 "pegainfer:engine_seconds_since_progress"};
  int num_metrics = 0;
  for (const auto& [name, family] : rest.families) {
    const bool gone = only_while_busy.contains(name);
    for (const auto& s : (gone ? busy : rest).families.at(name).samples) {
      ++num_metrics;
      if (!s.name.ends_with("_bucket") && name != "process_cpu_seconds_total") {
        EXPECT_GT(s.value, 0) << s.name << ::testing::PrintToString(s.labels);
      }
    }
    if (gone) {
      EXPECT_EQ(family.samples.at(0).value, 0) << name << " at rest";
    }
  }
  EXPECT_GT(num_metrics, 100);
  EXPECT_EQ(rest.families.size(), 43U) << "a metric more or less: is it in docs/observability.md?";
  EXPECT_EQ(busy.value("vllm:num_requests_running") + busy.value("vllm:num_requests_waiting"), 4);
  EXPECT_EQ(rest.value("vllm:admission_rejections_total", {{"reason", "max_num_queued_reqs"}}), 1);
  EXPECT_EQ(rest.value("vllm:admission_rejections_total", {{"reason", "max_num_queued_tokens"}}), 1);
  EXPECT_EQ(rest.value("vllm:request_params_n_sum"), rest.value("vllm:request_generation_tokens_count"));
}

TEST_P(EveryMetricTest, CountersAreTheSumsOfWhatClientsWereTold) {
  Exposition busy;
  queue_and_refuse(busy);
  end_in_every_way();
  const Exposition p = page();
  double prompt = 0;
  double completion = 0;
  double cached = 0;
  std::map<FinishReason, int> reasons;
  for (const Finish& end : ends_) {
    ++reasons[end.reason];
    completion += end.usage.completion_tokens;
    cached += end.usage.cached_tokens;
    const bool computed = end.usage.completion_tokens > 0 || end.reason == FinishReason::kError;
    if (computed) prompt += end.usage.prompt_tokens;
  }
  EXPECT_EQ(p.value("vllm:prompt_tokens_total"), prompt);
  EXPECT_EQ(p.value("vllm:generation_tokens_total"), completion);
  EXPECT_EQ(p.value("vllm:request_generation_tokens_sum"), completion);
  EXPECT_LE(cached, p.value("vllm:prefix_cache_hits_total"));  // hits after a preemption are nobody's usage
  EXPECT_GT(cached, 0);
  const auto told = [&](FinishReason reason, const char* name) {
    EXPECT_EQ(p.value("vllm:request_success_total", {{"finished_reason", name}}), reasons[reason]) << name;
  };
  told(FinishReason::kStop, "stop");
  told(FinishReason::kLength, "length");
  told(FinishReason::kCancelled, "abort");
  told(FinishReason::kTimeout, "timeout");
  told(FinishReason::kError, "error");
  EXPECT_EQ(p.value("vllm:e2e_request_latency_seconds_count"), static_cast<double>(ends_.size()));
  EXPECT_EQ(
      p.value("vllm:time_to_first_token_seconds_count") + p.value("vllm:inter_token_latency_seconds_count"),
      completion);
}

INSTANTIATE_TEST_SUITE_P(Depth, EveryMetricTest, ::testing::Values(1, 2));

}  // namespace
}  // namespace pegainfer::metrics

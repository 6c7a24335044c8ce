// The real loop under a trace: preemptions, cancels and two steps under way, and the file is still sound.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "engine/llm_engine.h"
#include "support/fake_executor.h"
#include "trace/chrome_trace.h"
#include "trace/trace_file.h"
#include "trace/trace_writer.h"

namespace pegainfer::trace {
namespace {

using pegainfer::testing::FakeExecutor;
using pegainfer::testing::kEnginePid;
using pegainfer::testing::kRequestsPid;
using pegainfer::testing::read_trace;
using pegainfer::testing::TraceEvent;
using pegainfer::testing::TraceFile;

class LoopTraceTest : public ::testing::TestWithParam<int> {
 protected:
  void run_load(Engine& engine, int num_requests) {
    std::mt19937 random(3);
    for (int i = 0; i < num_requests; ++i) {
      GenerateRequest request;
      request.prompt.resize(2 + random() % 40);
      std::iota(request.prompt.begin(), request.prompt.end(), static_cast<TokenId>(random() % 500));
      request.sampling.max_tokens = static_cast<int>(random() % 16);
      request.name = "job " + std::to_string(i);
      request.sink = [this](const TokenEvent& event) {
        if (!event.finish) return;
        const std::lock_guard lock(mutex_);
        ++num_ended_;
        num_tokens_ += event.usage.completion_tokens;
        changed_.notify_all();
      };
      const auto id = engine.submit(std::move(request));
      ASSERT_TRUE(id);
      if (i % 10 == 9) engine.cancel(*id);
    }
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(30), [&] { return num_ended_ == num_requests; }));
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int num_ended_ = 0;
  int num_tokens_ = 0;
};

TEST_P(LoopTraceTest, TheFileIsSound) {
  constexpr int kRequests = 120;
  constexpr int kNumBlocks = 25;
  auto trace = std::make_shared<ChromeTrace>();
  LlmEngineOptions options;
  options.info = {.vocab_size = 1000, .max_model_len = 64, .num_kv_blocks = kNumBlocks, .block_size = 4};
  options.max_num_seqs = 6;
  options.max_num_batched_tokens = 16;
  options.force_preempt_every = 7;
  options.observers = {trace};
  ASSERT_TRUE(trace->start());
  uint64_t num_steps = 0;
  uint64_t num_preemptions = 0;
  {
    LlmEngine engine(options, std::make_unique<FakeExecutor>(testing::FakeExecutorOptions{
                                  .num_kv_blocks = kNumBlocks, .block_size = 4, .depth = GetParam()}));
    run_load(engine, kRequests);
    engine.shutdown(std::chrono::steady_clock::now());
    num_steps = engine.stats().num_steps;
    num_preemptions = engine.stats().num_preemptions_total;
  }
  std::string text;
  write_json(*trace->stop(), "fake", [&](std::string_view piece) { text += piece; });
  const TraceFile file = read_trace(text);  // slices nest, tracks have names

  std::map<std::string, uint64_t> engine_slices;
  std::map<std::string, uint64_t> request_slices;
  double planned = 0;
  double prefilled = 0;
  for (const TraceEvent& event : file.events) {
    if (event.phase == "C") continue;
    ++(event.pid == kEnginePid ? engine_slices : request_slices)[event.name];
    if (event.name == "step") planned += event.args.at("tokens");
    if (event.name == "prefill" && event.args.contains("tokens")) prefilled += event.args.at("tokens");
    EXPECT_FALSE(event.args.contains("goes_on")) << event.name;
  }
  for (const char* name : {"step", "plan", "launch", "wait", "deliver"})
    EXPECT_EQ(engine_slices[name], num_steps) << name;
  EXPECT_EQ(request_slices["finish"], static_cast<uint64_t>(kRequests));
  EXPECT_EQ(request_slices["queued"], static_cast<uint64_t>(kRequests));
  EXPECT_EQ(request_slices["preempted"], num_preemptions);
  EXPECT_GT(num_preemptions, 0U);
  EXPECT_GT(prefilled, 0);
  EXPECT_LE(prefilled, planned);
  for (int64_t id = 1; id <= kRequests; ++id) {
    const auto names = file.names(kRequestsPid, id);
    ASSERT_FALSE(names.empty());
    EXPECT_EQ(names.front(), "queued");
    EXPECT_EQ(names.back(), "finish");
    EXPECT_EQ(file.threads.at({kRequestsPid, id}), "job " + std::to_string(id - 1));
  }
  const bool overlapped = !file.track(kEnginePid, 2).empty();
  EXPECT_EQ(overlapped, GetParam() == 2);
}

INSTANTIATE_TEST_SUITE_P(Depth, LoopTraceTest, ::testing::Values(1, 2));

}  // namespace
}  // namespace pegainfer::trace

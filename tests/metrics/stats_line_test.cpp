#include "metrics/stats_line.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "support/fake_engine.h"

namespace pegainfer::metrics {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const TimePoint kStart{std::chrono::hours(1)};

TEST(StatsLineTest, SaysWhatVllmSays) {
  EngineStats stats{.num_free_blocks = 40, .num_total_blocks = 40};
  StatsLine line("GPU ", stats, kStart);
  stats.num_running = 3;
  stats.num_waiting = 2;
  stats.num_free_blocks = 31;
  stats.num_steps = 20;
  stats.prompt_tokens_total = 1234;
  stats.generation_tokens_total = 560;
  stats.prefix_cache_queries_total = 1000;
  stats.prefix_cache_hits_total = 125;
  EXPECT_EQ(line.next(stats, kStart + seconds(10)),
            "Engine 000: Avg prompt throughput: 123.4 tokens/s, Avg generation throughput: 56.0 tokens/s, "
            "Running: 3 reqs, Waiting: 2 reqs, GPU KV cache usage: 22.5%, Prefix cache hit rate: 12.5%");
  stats.num_steps = 21;
  stats.generation_tokens_total = 580;
  EXPECT_EQ(line.next(stats, kStart + seconds(30)),
            "Engine 000: Avg prompt throughput: 0.0 tokens/s, Avg generation throughput: 1.0 tokens/s, "
            "Running: 3 reqs, Waiting: 2 reqs, GPU KV cache usage: 22.5%, Prefix cache hit rate: 12.5%");
}

TEST(StatsLineTest, OneLineMoreWhenIdleThenNone) {
  EngineStats stats{.num_free_blocks = 40, .num_total_blocks = 40};
  StatsLine line("", stats, kStart);
  int second = 0;
  const auto next = [&] { return line.next(stats, kStart + seconds(second += 10)); };
  EXPECT_FALSE(next());
  stats.num_steps = 7;  // all of it between two looks
  stats.generation_tokens_total = 70;
  EXPECT_TRUE(next());
  const auto last = next();
  ASSERT_TRUE(last);
  EXPECT_NE(last->find("generation throughput: 0.0 tokens/s, Running: 0 reqs"), std::string::npos) << *last;
  EXPECT_NE(last->find(" KV cache usage: 0.0%"), std::string::npos);
  EXPECT_EQ(last->find("GPU"), std::string::npos);
  EXPECT_FALSE(next());
  EXPECT_FALSE(next());
  stats.num_waiting = 1;  // a stuck engine is not an idle one
  EXPECT_TRUE(next());
  EXPECT_TRUE(next());
}

TEST(StatsLoggerTest, LogsWhileBusyAndStops) {
  pegainfer::testing::FakeEngineOptions options;
  options.manual = true;
  auto engine = std::make_shared<pegainfer::testing::FakeEngine>(options);
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> lines;
  GenerateRequest request;
  request.prompt = {65};
  request.sampling.max_tokens = 4;
  request.sink = [](const TokenEvent&) {};
  ASSERT_TRUE(engine->submit(std::move(request)));
  {
    const StatsLogger logger(
        engine, {.interval = milliseconds(5), .device = "", .write = [&](const std::string& line) {
                   const std::lock_guard lock(mutex);
                   lines.push_back(line);
                   changed.notify_all();
                 }});
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, seconds(20), [&] { return lines.size() >= 3; }));
  }
  EXPECT_NE(lines.front().find("Running: 1 reqs"), std::string::npos) << lines.front();
}

TEST(StatsLoggerTest, DoesNotDelayTheEnd) {
  auto engine = std::make_shared<pegainfer::testing::FakeEngine>();
  const auto begin = std::chrono::steady_clock::now();
  { const StatsLogger logger(engine, {.interval = seconds(100)}); }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
}

}  // namespace
}  // namespace pegainfer::metrics

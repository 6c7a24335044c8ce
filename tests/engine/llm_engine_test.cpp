#include "engine/llm_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "base/log.h"
#include "engine/engine_harness.h"

namespace pegainfer {
namespace {

using pegainfer::testing::alone;
using pegainfer::testing::Client;
using pegainfer::testing::engine_options;
using pegainfer::testing::executor_options;
using pegainfer::testing::FakeExecutorOptions;
using pegainfer::testing::Gate;
using pegainfer::testing::make_engine;
using pegainfer::testing::tokens;
using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

TEST(LlmEngine, AnswersARequestOnItsOwnThread) {
  const auto engine = make_engine();
  Client client;
  const auto id = engine->submit({{1, 2, 3}, tokens(10), client.sink()});
  ASSERT_TRUE(id);
  EXPECT_NE(id->value, 0U);
  const Finish finish = client.get();
  EXPECT_EQ(finish.reason, FinishReason::kLength);
  EXPECT_EQ(finish.usage.completion_tokens, 10);
  EXPECT_EQ(client.tokens(), alone({1, 2, 3}, 10, 1));
  EXPECT_NE(client.thread(), std::this_thread::get_id());
}

TEST(LlmEngine, RefusesBadRequestsWithoutTouchingTheSink) {
  const auto engine = make_engine();
  Client client;
  const auto long_prompt = engine->submit({std::vector<TokenId>(200, 1), tokens(1), client.sink()});
  ASSERT_FALSE(long_prompt);
  EXPECT_EQ(long_prompt.error().type, "context_length_exceeded");
  EXPECT_THAT(long_prompt.error().message, HasSubstr("maximum context length"));
  EXPECT_FALSE(engine->submit({{}, tokens(1), client.sink()}));
  EXPECT_FALSE(engine->submit({{1000}, tokens(1), client.sink()}));
  Client good;
  ASSERT_TRUE(engine->submit({{1}, tokens(1), good.sink()}));
  good.get();
  EXPECT_EQ(client.num_finishes(), 0);
}

TEST(LlmEngine, EveryPipelineDepthGivesTheSameTokens) {
  for (const int depth : {1, 2, 3}) {
    FakeExecutorOptions e = executor_options();
    e.depth = depth;
    const auto engine = make_engine(engine_options(), e);
    std::vector<Client> clients(20);
    for (size_t i = 0; i < clients.size(); ++i) {
      const std::vector<TokenId> prompt(1 + i * 3, static_cast<TokenId>(i));
      ASSERT_TRUE(engine->submit({prompt, tokens(12, i), clients[i].sink()}));
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      EXPECT_EQ(clients[i].get().reason, FinishReason::kLength);
      EXPECT_EQ(clients[i].tokens(), alone(std::vector<TokenId>(1 + i * 3, static_cast<TokenId>(i)), 12, i));
    }
  }
}

TEST(LlmEngine, SeedsDifferUnlessGiven) {
  const auto run = [](LlmEngine& engine, std::optional<uint64_t> seed) {
    Client client;
    EXPECT_TRUE(engine.submit({{5}, tokens(8, seed), client.sink()}));
    client.get();
    return client.tokens();
  };
  const auto engine = make_engine();
  EXPECT_EQ(run(*engine, 9), run(*engine, 9));
  EXPECT_NE(run(*engine, std::nullopt), run(*engine, std::nullopt));
  LlmEngineOptions seeded = engine_options();
  seeded.seed = 42;
  const auto a = make_engine(seeded);
  const auto b = make_engine(seeded);
  const auto first = run(*a, std::nullopt);
  EXPECT_EQ(first, run(*b, std::nullopt));
  EXPECT_NE(first, run(*a, std::nullopt));
}

TEST(LlmEngine, CancelEndsRunningAndQueuedWithinAStep) {
  auto gate = std::make_shared<Gate>();
  LlmEngineOptions o = engine_options();
  o.max_num_seqs = 1;
  FakeExecutorOptions e = executor_options();
  e.on_collect = [gate](const StepPlan&) { gate->pass(); };
  const auto engine = make_engine(o, e);
  Client running;
  Client queued;
  const auto first = engine->submit({{1}, tokens(100), running.sink()});
  const auto second = engine->submit({{2}, tokens(100), queued.sink()});
  ASSERT_TRUE(first && second);
  gate->allow(3);
  gate->wait_arrived(4);  // the fourth step runs
  running.wait_tokens(3);
  engine->cancel(*first);
  engine->cancel(*second);
  engine->cancel(RequestId{12345});
  gate->allow(1);
  EXPECT_EQ(running.get().reason, FinishReason::kCancelled);
  EXPECT_EQ(queued.get().reason, FinishReason::kCancelled);
  EXPECT_LE(running.tokens().size(), 4U);
  EXPECT_TRUE(queued.tokens().empty());
  EXPECT_EQ(engine->stats().num_free_blocks, 100);
  gate->open();
  Client after;
  ASSERT_TRUE(engine->submit({{3}, tokens(2), after.sink()}));
  EXPECT_EQ(after.get().reason, FinishReason::kLength);
  EXPECT_EQ(engine->stats().num_steps, 6U);  // 4 of the first, none of the second, 2 of the last
}

TEST(LlmEngine, ASinkMaySubmitAndCancel) {
  const auto engine = make_engine();
  Client second;
  std::promise<Result<RequestId>> submitted;
  ASSERT_TRUE(engine->submit({{1}, tokens(3), [&, done = false](const TokenEvent& event) mutable {
                                if (event.finish && !done) {
                                  done = true;
                                  auto id = engine->submit({{2}, tokens(100), second.sink()});
                                  if (id) engine->cancel(*id);
                                  submitted.set_value(std::move(id));
                                }
                              }}));
  EXPECT_TRUE(submitted.get_future().get());
  EXPECT_EQ(second.get().reason, FinishReason::kCancelled);
}

TEST(LlmEngine, StatsFollowTheLoad) {
  auto gate = std::make_shared<Gate>();
  LlmEngineOptions o = engine_options();
  o.max_num_seqs = 2;
  FakeExecutorOptions e = executor_options();
  e.on_collect = [gate](const StepPlan&) { gate->pass(); };
  const auto engine = make_engine(o, e);
  EngineStats s = engine->stats();
  EXPECT_EQ(s.num_running, 0);
  EXPECT_EQ(s.num_total_blocks, 100);
  EXPECT_EQ(s.num_free_blocks, 100);
  EXPECT_EQ(s.seconds_since_progress, 0);
  EXPECT_TRUE(s.healthy);
  std::vector<Client> clients(5);
  for (Client& c : clients) ASSERT_TRUE(engine->submit({{1, 2, 3, 4, 5}, tokens(4), c.sink()}));
  gate->wait_arrived(1);
  s = engine->stats();
  EXPECT_EQ(s.num_running + s.num_waiting, 5);  // wherever they are, none is forgotten
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_GE(engine->stats().seconds_since_progress, 0.03);  // a step that does not end is seen
  gate->open();
  for (Client& c : clients) c.get();
  s = engine->stats();
  EXPECT_EQ(s.num_running, 0);
  EXPECT_EQ(s.num_waiting, 0);
  EXPECT_EQ(s.num_free_blocks, 100);
  EXPECT_EQ(s.prompt_tokens_total, 25U);
  EXPECT_EQ(s.generation_tokens_total, 20U);
  EXPECT_EQ(s.seconds_since_progress, 0);
}

TEST(LlmEngine, ShutdownNowCancelsEverythingOnce) {
  auto gate = std::make_shared<Gate>();
  FakeExecutorOptions e = executor_options();
  e.on_collect = [gate](const StepPlan&) { gate->pass(); };
  const auto engine = make_engine(engine_options(), e);
  std::vector<Client> clients(30);
  for (Client& c : clients) ASSERT_TRUE(engine->submit({{1}, tokens(100), c.sink()}));
  gate->wait_arrived(1);
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    gate->open();
  });
  engine->shutdown(steady_clock::now());
  for (const Client& c : clients) {
    EXPECT_EQ(c.num_finishes(), 1);  // already there when shutdown returns
    EXPECT_EQ(c.get().reason, FinishReason::kCancelled);
    EXPECT_THAT(c.get().message, HasSubstr("shutting down"));
  }
  opener.join();
  Client late;
  const auto refused = engine->submit({{1}, tokens(1), late.sink()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(refused.error().type, "server_shutting_down");
  engine->cancel(RequestId{1});
  engine->shutdown(steady_clock::now());  // again: returns at once
}

TEST(LlmEngine, ShutdownWithTimeLetsRequestsFinish) {
  const auto engine = make_engine();
  std::vector<Client> clients(30);
  for (size_t i = 0; i < clients.size(); ++i)
    ASSERT_TRUE(engine->submit({{static_cast<TokenId>(i)}, tokens(20), clients[i].sink()}));
  engine->shutdown(steady_clock::now() + seconds(20));
  for (const Client& c : clients) {
    EXPECT_EQ(c.num_finishes(), 1);
    EXPECT_EQ(c.get().reason, FinishReason::kLength);
  }
}

TEST(LlmEngine, WhileDrainingCancelWorksAndASecondShutdownShortens) {
  auto gate = std::make_shared<Gate>();
  FakeExecutorOptions e = executor_options();
  e.on_collect = [gate](const StepPlan&) { gate->pass(); };
  const auto engine = make_engine(engine_options(), e);
  Client cancelled;
  Client left;
  const auto id = engine->submit({{1}, tokens(190), cancelled.sink()});
  ASSERT_TRUE(id);
  ASSERT_TRUE(engine->submit({{1}, tokens(190), left.sink()}));
  gate->wait_arrived(1);
  std::thread first([&] { engine->shutdown(steady_clock::now() + std::chrono::hours(1)); });
  while (engine->submit({{1}, tokens(1), [](const TokenEvent&) {}})) std::this_thread::yield();
  engine->cancel(*id);
  gate->allow(2);
  EXPECT_EQ(cancelled.get().reason, FinishReason::kCancelled);
  EXPECT_EQ(cancelled.get().message, "");  // the client's wish, not the engine's
  EXPECT_EQ(left.num_finishes(), 0);
  gate->allow(1);
  std::thread second([&] { engine->shutdown(steady_clock::now()); });
  gate->open();
  first.join();
  second.join();
  EXPECT_EQ(left.num_finishes(), 1);
}

TEST(LlmEngine, AFailedStepEndsEveryRequestOnceAndTheEngine) {
  set_log_level(LogLevel::kOff);
  for (const int depth : {1, 2}) {
    std::atomic<int> steps{0};
    std::promise<std::string> dead;
    LlmEngineOptions o = engine_options();
    o.max_num_seqs = 2;
    o.on_dead = [&](const std::string& reason) { dead.set_value(reason); };
    FakeExecutorOptions e = executor_options();
    e.depth = depth;
    e.on_collect = [&](const StepPlan&) {
      if (++steps == 3) throw std::bad_alloc();
    };
    const auto engine = make_engine(o, e);
    std::vector<Client> clients(10);
    std::vector<bool> accepted(10);
    for (size_t i = 0; i < clients.size(); ++i)
      accepted[i] = engine->submit({{1}, tokens(100), clients[i].sink()}).has_value();
    EXPECT_TRUE(accepted[0]);
    EXPECT_THAT(dead.get_future().get(), HasSubstr("bad_alloc"));
    for (size_t i = 0; i < clients.size(); ++i) {
      EXPECT_EQ(clients[i].num_finishes(), accepted[i] ? 1 : 0);
      if (accepted[i]) {
        EXPECT_EQ(clients[i].get().reason, FinishReason::kError);
        EXPECT_THAT(clients[i].get().message, HasSubstr("bad_alloc"));
      }
    }
    EXPECT_FALSE(engine->stats().healthy);
    Client late;
    const auto refused = engine->submit({{1}, tokens(1), late.sink()});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kUnavailable);
    EXPECT_EQ(refused.error().type, "engine_unavailable");
    engine->shutdown(steady_clock::now());
  }
  set_log_level(LogLevel::kInfo);
}

// A device that is lost: the step's results count for nothing, and everyone hears which op it was, once.
TEST(LlmEngine, AFailedDeviceEndsEveryRequestOnceAndTheEngine) {
  set_log_level(LogLevel::kOff);
  std::atomic<int> steps{0};
  std::promise<std::string> dead;
  LlmEngineOptions o = engine_options();
  o.on_dead = [&](const std::string& reason) { dead.set_value(reason); };
  FakeExecutorOptions e = executor_options();
  e.health = [&]() -> Status {
    if (++steps < 3) return ok_status();
    return internal_error("the GPU failed in paged_attention");
  };
  const auto engine = make_engine(o, e);
  std::vector<Client> clients(4);
  std::vector<bool> accepted(4);
  for (size_t i = 0; i < clients.size(); ++i)
    accepted[i] = engine->submit({{1}, tokens(100), clients[i].sink()}).has_value();
  EXPECT_TRUE(accepted[0]);
  EXPECT_THAT(dead.get_future().get(), HasSubstr("paged_attention"));
  for (size_t i = 0; i < clients.size(); ++i) {
    EXPECT_EQ(clients[i].num_finishes(), accepted[i] ? 1 : 0);
    if (!accepted[i]) continue;
    EXPECT_THAT(clients[i].get().message, HasSubstr("paged_attention"));
  }
  EXPECT_FALSE(engine->stats().healthy);
  engine->shutdown(steady_clock::now());
  set_log_level(LogLevel::kInfo);
}

// Many threads submit and cancel at random while the engine runs and, at the end, shuts down under them.
TEST(LlmEngine, ThreadsSubmitAndCancelThroughAShutdown) {
  for (int round = 0; round < 3; ++round) {
    const auto engine = make_engine();
    constexpr int kThreads = 6;
    constexpr int kRequests = 150;
    std::vector<std::vector<Client>> clients(kThreads);
    for (auto& some : clients) some = std::vector<Client>(kRequests);  // each with a state of its own
    std::vector<std::vector<char>> accepted(kThreads, std::vector<char>(kRequests, 0));
    std::vector<std::thread> threads;
    for (size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 rng(static_cast<unsigned>(t) + 100U * static_cast<unsigned>(round));
        for (size_t i = 0; i < kRequests; ++i) {
          const int max_tokens = static_cast<int>(rng() % 20);
          const auto id = engine->submit({std::vector<TokenId>(1 + rng() % 40, 7),
                                          tokens(max_tokens, std::nullopt), clients[t][i].sink()});
          if (!id) {
            EXPECT_EQ(id.error().code, Code::kUnavailable);
            continue;
          }
          accepted[t][i] = 1;
          if (rng() % 3 == 0) engine->cancel(*id);
          if (rng() % 8 == 0) engine->cancel(RequestId{rng() % 1000});
          if (rng() % 4 == 0) (void)engine->stats();
        }
      });
    }
    if (round == 1) engine->shutdown(steady_clock::now() + std::chrono::milliseconds(20));
    for (std::thread& t : threads) t.join();
    engine->shutdown(steady_clock::now() + seconds(30));
    for (size_t t = 0; t < kThreads; ++t)
      for (size_t i = 0; i < kRequests; ++i)
        ASSERT_EQ(clients[t][i].num_finishes(), static_cast<int>(accepted[t][i]));
    EXPECT_EQ(engine->stats().num_free_blocks, 100);
    EXPECT_EQ(engine->stats().num_waiting, 0);
  }
}

}  // namespace
}  // namespace pegainfer

#include "sim/sim_engine.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <future>
#include <memory>
#include <vector>

#include "base/clock.h"

namespace pegainfer::sim {
namespace {

struct Answer {
  std::vector<TokenId> tokens;
  Finish finish;
};

std::future<Answer> ask(Engine& engine, std::vector<TokenId> prompt, int max_tokens, uint64_t seed) {
  const auto answer = std::make_shared<Answer>();
  const auto done = std::make_shared<std::promise<Answer>>();
  GenerateRequest request;
  request.prompt = std::move(prompt);
  request.sampling.max_tokens = max_tokens;
  request.sampling.seed = seed;
  request.sink = [answer, done](const TokenEvent& event) {
    for (const TokenId token : event.tokens) answer->tokens.push_back(token);
    if (!event.finish) return;
    answer->finish = *event.finish;
    done->set_value(*answer);
  };
  EXPECT_TRUE(engine.submit(std::move(request)));
  return done->get_future();
}

std::vector<TokenId> prompt_of(uint64_t i) {
  return std::vector<TokenId>(20 + i % 50, static_cast<TokenId>('a' + i % 26));
}

std::vector<std::vector<TokenId>> run(SimEngineOptions options, size_t num_requests) {
  const auto engine = make_sim_engine(std::move(options));
  std::vector<std::future<Answer>> answers;
  for (uint64_t i = 0; i < num_requests; ++i) answers.push_back(ask(*engine, prompt_of(i), 24, i));
  std::vector<std::vector<TokenId>> out;
  for (auto& answer : answers) {
    Answer a = answer.get();
    EXPECT_EQ(a.finish.reason, FinishReason::kLength);
    out.push_back(std::move(a.tokens));
  }
  return out;
}

SimProfile instant() { return *find_profile("instant"); }

TEST(SimEngine, TheSameSeedsGiveTheSameTokensWhateverSharesTheSteps) {
  const auto reference = run({.profile = instant(), .engine = {.max_num_seqs = 1}, .depth = 1}, 64);
  EXPECT_EQ(run({.profile = instant()}, 64), reference);
  SimProfile small = instant();
  small.num_kv_blocks = 12;  // one request at a time, and preemptions
  EXPECT_EQ(run({.profile = small, .engine = {.max_num_seqs = 8}}, 64), reference);
  for (const auto& tokens : reference) {
    ASSERT_EQ(tokens.size(), 24U);
    for (const TokenId token : tokens) EXPECT_TRUE(token >= 'a' && token <= 'z') << token;
  }
}

TEST(SimEngine, AnEosEndsWhenAskedFor) {
  const auto engine = make_sim_engine({.profile = instant(), .eos_probability = 0.5});
  int stopped = 0;
  for (uint64_t i = 0; i < 32; ++i)
    stopped += ask(*engine, {'x'}, 64, i).get().finish.reason == FinishReason::kStop ? 1 : 0;
  EXPECT_EQ(stopped, 32);  // 2^-64 each not to
}

TEST(SimEngine, RealTimeStepsTakeTheirTime) {
  SimProfile profile = instant();
  profile.step_overhead_s = 0.005;
  const auto engine = make_sim_engine({.profile = profile});
  const Stopwatch watch;
  ask(*engine, {'x'}, 10, 1).get();
  EXPECT_GE(watch.seconds(), 10 * 0.005);
  EXPECT_LT(watch.seconds(), 2.0);
}

}  // namespace
}  // namespace pegainfer::sim

#include "sim/sim_executor.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <set>

namespace pegainfer::sim {
namespace {

SimProfile one_second_steps() {
  SimProfile p;
  p.step_overhead_s = 1;
  p.vocab_size = 100;
  return p;
}

StepPlan decode(uint64_t id, int position, TokenId token) {
  StepPlan plan;
  plan.token_ids = {token};
  plan.num_tokens = 1;
  plan.seqs.push_back(
      {.id = RequestId{id}, .num_computed_tokens = position, .num_tokens = 1, .sample = true, .seed = 7});
  return plan;
}

TEST(SimExecutor, APendingTokenIsThatOfTheLaunchBefore) {
  const auto clock = std::make_shared<VirtualClock>();
  SimExecutor executor({.profile = one_second_steps()}, clock);
  executor.launch(decode(1, 5, 42));
  executor.launch(decode(1, 6, kPendingToken));
  StepResult result;
  executor.collect(result);
  const TokenId first = result.seqs.at(0).tokens.front();
  EXPECT_EQ(first, executor.next_token(7, 6, 42));
  executor.launch(decode(1, 7, kPendingToken));  // while the second is under way
  executor.collect(result);
  const TokenId second = result.seqs.at(0).tokens.front();
  EXPECT_EQ(second, executor.next_token(7, 7, first));
  executor.collect(result);
  EXPECT_EQ(result.seqs.at(0).tokens.front(), executor.next_token(7, 8, second));
}

TEST(SimExecutor, StepsRunOneAfterTheOtherOnTheClock) {
  const auto clock = std::make_shared<VirtualClock>();
  SimExecutor executor({.profile = one_second_steps()}, clock);
  executor.launch(decode(1, 5, 42));
  executor.launch(decode(2, 5, 42));
  EXPECT_DOUBLE_EQ(clock->seconds(), 0);
  StepResult result;
  executor.collect(result);
  EXPECT_DOUBLE_EQ(clock->seconds(), 1);
  executor.collect(result);
  EXPECT_DOUBLE_EQ(clock->seconds(), 2);
  clock->wait_until(clock->now() + std::chrono::seconds(5));  // idle
  executor.launch(decode(3, 5, 42));
  executor.collect(result);
  EXPECT_DOUBLE_EQ(clock->seconds(), 8);
  EXPECT_DOUBLE_EQ(executor.busy_seconds(), 3);
}

TEST(SimExecutor, TokensStayInTheirRangeAndOffTheEos) {
  const SimExecutor executor(
      {.profile = one_second_steps(), .first_token = 10, .num_tokens = 5, .eos_token_ids = {12}},
      std::make_shared<VirtualClock>());
  std::set<TokenId> seen;
  for (int i = 0; i < 500; ++i) seen.insert(executor.next_token(1, i, i % 7));
  EXPECT_EQ(seen, (std::set<TokenId>{10, 11, 13, 14}));
}

TEST(SimExecutor, AnEosComesAsOftenAsAsked) {
  const SimExecutor executor({.profile = one_second_steps(), .eos_token_ids = {3}, .eos_probability = 0.1},
                             std::make_shared<VirtualClock>());
  int ends = 0;
  for (int i = 0; i < 10'000; ++i) ends += executor.next_token(1, i, 50) == 3 ? 1 : 0;
  EXPECT_NEAR(ends, 1000, 4 * std::sqrt(900));
}

TEST(SimExecutor, LogprobsAreGivenAsAsked) {
  SimExecutor executor({.profile = one_second_steps()}, std::make_shared<VirtualClock>());
  StepPlan plan = decode(1, 5, 42);
  plan.seqs[0].logprobs = 3;
  plan.seqs[0].num_targets = 1;
  plan.seqs[0].prompt_logprobs = 2;
  plan.prompt_targets = {17};
  executor.launch(plan);
  StepResult result;
  executor.collect(result);
  const SeqResult& row = result.seqs.at(0);
  ASSERT_EQ(row.logprobs.size(), 1U);
  EXPECT_EQ(row.logprobs[0].chosen.token, row.tokens.front());
  EXPECT_EQ(row.logprobs[0].top.size(), 3U);
  ASSERT_EQ(row.prompt_logprobs.size(), 1U);
  EXPECT_EQ(row.prompt_logprobs[0].chosen.token, 17);
  EXPECT_EQ(row.prompt_logprobs[0].top.size(), 2U);
}

}  // namespace
}  // namespace pegainfer::sim

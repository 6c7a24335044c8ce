#include "scheduler/scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "scheduler/harness.h"
#include "support/cpu_time.h"

namespace pegainfer {
namespace {

using pegainfer::testing::FakeExecutor;
using pegainfer::testing::FakeExecutorOptions;
using pegainfer::testing::Harness;
using ::testing::HasSubstr;

std::vector<TokenId> prompt_of(int length, TokenId first = 1) {
  std::vector<TokenId> p(static_cast<size_t>(length));
  std::iota(p.begin(), p.end(), first);
  return p;
}

SamplingParams tokens(int max_tokens) {
  SamplingParams p;
  p.max_tokens = max_tokens;
  return p;
}

std::vector<std::pair<uint64_t, int>> shape(const StepPlan& plan) {
  std::vector<std::pair<uint64_t, int>> out;
  for (const ScheduledSeq& s : plan.seqs) out.emplace_back(s.id.value, s.num_tokens);
  return out;
}
using Shape = std::vector<std::pair<uint64_t, int>>;

TEST(Scheduler, ChunksAPromptAndMixesItWithDecodeRows) {
  Harness h({.max_num_seqs = 4, .max_num_batched_tokens = 8}, {});
  ASSERT_TRUE(h.add(1, prompt_of(5), tokens(9)));
  ASSERT_TRUE(h.add(2, prompt_of(20, 100), tokens(2)));
  EXPECT_EQ(shape(h.step()), (Shape{{1, 5}, {2, 3}}));
  StepPlan plan = h.step();
  EXPECT_EQ(shape(plan), (Shape{{1, 1}, {2, 7}}));
  EXPECT_TRUE(plan.seqs[0].sample);
  EXPECT_FALSE(plan.seqs[1].sample);  // the prompt goes on
  EXPECT_EQ(plan.seqs[1].num_computed_tokens, 3);
  EXPECT_TRUE(std::ranges::equal(plan.tokens(plan.seqs[1]), prompt_of(7, 103)));
  EXPECT_EQ(plan.seqs[1].num_blocks, 5);  // for all 20 positions, in blocks of 4
  EXPECT_EQ(shape(h.step()), (Shape{{1, 1}, {2, 7}}));
  plan = h.step();
  EXPECT_EQ(shape(plan), (Shape{{1, 1}, {2, 3}}));
  EXPECT_TRUE(plan.seqs[1].sample);
  EXPECT_EQ(h.told[2].tokens.size(), 1U);
  EXPECT_EQ(shape(h.step()), (Shape{{1, 1}, {2, 1}}));
  h.run_until_idle();
  EXPECT_EQ(h.told[1].tokens.size(), 9U);
}

// A request whose sampling needs its tokens on the host skips a step with every token; others are planned
// ahead beside it, and all are told what they are told alone.
TEST(Scheduler, WhoWaitsForItsTokenIsNotPlannedAhead) {
  Harness h({.max_num_seqs = 4, .max_num_batched_tokens = 16}, {.depth = 2});
  ASSERT_TRUE(h.add(1, prompt_of(5), tokens(6), {.waits_for_token = true}));
  ASSERT_TRUE(h.add(2, prompt_of(5, 50), tokens(12)));
  int num_ahead = 0;
  int num_skipped = 0;
  while (!h.scheduler.idle()) {
    const bool both = !h.told[1].finish && !h.told[2].finish;
    const StepPlan plan = h.step();
    bool waiter = false;
    for (const ScheduledSeq& seq : plan.seqs) {
      const bool pending = plan.tokens(seq).back() == kPendingToken;
      EXPECT_FALSE(pending && seq.id.value == 1);
      num_ahead += pending ? 1 : 0;
      waiter = waiter || seq.id.value == 1;
    }
    if (both && !waiter && plan.num_tokens > 0) ++num_skipped;
  }
  EXPECT_GE(num_ahead, 10);
  EXPECT_GE(num_skipped, 5);
  for (const uint64_t id : {1U, 2U}) {
    Harness alone({.max_num_seqs = 4, .max_num_batched_tokens = 16}, {});
    ASSERT_TRUE(alone.add(id, prompt_of(5, id == 1 ? 1 : 50), tokens(id == 1 ? 6 : 12)));
    alone.run_until_idle();
    EXPECT_EQ(h.told[id].tokens, alone.told[id].tokens) << id;
  }
}

TEST(Scheduler, PassesSamplingOn) {
  Harness h({}, {});
  SamplingParams p = tokens(3);
  p.temperature = 0.5F;
  p.top_p = 0.25F;
  p.min_p = 0.125F;
  p.top_k = -1;
  p.seed = 77;
  p.logprobs = 2;
  ASSERT_TRUE(h.add(1, prompt_of(3), p));
  const StepPlan plan = h.step();
  ASSERT_EQ(plan.seqs.size(), 1U);
  const ScheduledSeq& s = plan.seqs[0];
  EXPECT_EQ(s.temperature, 0.5F);
  EXPECT_EQ(s.top_p, 0.25F);
  EXPECT_EQ(s.min_p, 0.125F);
  EXPECT_EQ(s.top_k, 0);  // -1 is another name for off
  EXPECT_EQ(s.seed, 77U);
  EXPECT_EQ(s.logprobs, 2);
  EXPECT_EQ(s.prompt_logprobs, -1);
  EXPECT_EQ(s.num_targets, 0);
  ASSERT_EQ(h.told[1].logprobs.size(), 1U);
  EXPECT_EQ(h.told[1].logprobs[0].chosen.token, h.told[1].tokens[0]);
  EXPECT_EQ(h.told[1].logprobs[0].top.size(), 2U);
}

TEST(Scheduler, FirstComeFirstServedAndNobodyOvertakes) {
  // 7 usable blocks of 4. Request 1 takes 5 at once, 2 would need 3, 3 only 1.
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 64}, {.num_kv_blocks = 8});
  ASSERT_TRUE(h.add(1, prompt_of(17), tokens(3)));
  ASSERT_TRUE(h.add(2, prompt_of(10, 100), tokens(11)));
  ASSERT_TRUE(h.add(3, prompt_of(2, 200), tokens(2)));
  EXPECT_EQ(shape(h.step()), (Shape{{1, 17}}));
  EXPECT_EQ(h.scheduler.num_waiting(), 2);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(shape(h.step()), (Shape{{1, 1}}));
  ASSERT_TRUE(h.told[1].finish);
  EXPECT_EQ(shape(h.step()), (Shape{{2, 10}, {3, 2}}));
  h.run_until_idle();
}

TEST(Scheduler, AShortPromptStartsBesideALongOne) {
  Harness h({.max_num_seqs = 8, .max_num_batched_tokens = 64}, {.num_kv_blocks = 200});
  ASSERT_TRUE(h.add(1, prompt_of(400), tokens(2)));
  EXPECT_EQ(shape(h.step()), (Shape{{1, 64}}));  // nobody else is there
  ASSERT_TRUE(h.add(2, prompt_of(10, 1000), tokens(5)));
  EXPECT_EQ(shape(h.step()), (Shape{{1, 54}, {2, 10}}));  // what the short one leaves goes back
  EXPECT_EQ(h.told[2].tokens.size(), 1U);
  ASSERT_TRUE(h.add(3, prompt_of(100, 2000), tokens(2)));
  EXPECT_EQ(shape(h.step()), (Shape{{1, 48}, {2, 1}, {3, 15}}));
  h.run_until_idle();
}

TEST(Scheduler, LowerPriorityGoesFirstAndWaitingMakesUpForIt) {
  Harness h({.max_num_seqs = 1, .max_num_batched_tokens = 64}, {});
  ASSERT_TRUE(h.add(1, prompt_of(2), tokens(1)));
  ASSERT_TRUE(h.add(2, prompt_of(2), tokens(1)));
  ASSERT_TRUE(h.add(3, prompt_of(2), tokens(1), {.priority = -1}));
  ASSERT_TRUE(h.add(4, prompt_of(2), tokens(1), {.priority = 1}));
  std::vector<uint64_t> order;
  for (int i = 0; i < 4; ++i) order.push_back(h.step().seqs.front().id.value);
  EXPECT_EQ(order, (std::vector<uint64_t>{3, 1, 2, 4}));

  // One of priority 1 among a stream of priority 0: at most kAgingArrivals of them go before it.
  ASSERT_TRUE(h.add(10, prompt_of(2), tokens(1), {.priority = 1}));
  int overtaken = 0;
  for (uint64_t id = 11; !h.told[10].finish; ++id, ++overtaken) {
    ASSERT_TRUE(h.add(id, prompt_of(2), tokens(1)));
    h.step();
    ASSERT_LE(overtaken, Scheduler::kAgingArrivals + 1);
  }
  EXPECT_GE(overtaken, Scheduler::kAgingArrivals - 1);
  h.run_until_idle();
}

TEST(Scheduler, MaxNumSeqs) {
  Harness h({.max_num_seqs = 2, .max_num_batched_tokens = 64}, {});
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(h.add(id, prompt_of(2), tokens(2)));
  EXPECT_EQ(shape(h.step()), (Shape{{1, 2}, {2, 2}}));
  EXPECT_EQ(shape(h.step()), (Shape{{1, 1}, {2, 1}}));
  EXPECT_EQ(shape(h.step()), (Shape{{3, 2}}));
  h.run_until_idle();
}

// Six sequences that need four blocks each in the end share eight: those that came last give way, and nobody
// notices.
TEST(Scheduler, PreemptsTheYoungestWhenBlocksRunOut) {
  for (const int depth : {1, 2}) {
    SchedulerOptions options{.max_num_seqs = 8, .max_num_batched_tokens = 64};
    Harness h(options, {.num_kv_blocks = 1 + 8, .depth = depth});
    SamplingParams p = tokens(16);
    p.logprobs = 1;
    for (uint64_t id = 1; id <= 6; ++id) {
      p.seed = id;
      ASSERT_TRUE(h.add(id, {static_cast<TokenId>(id)}, p));
    }
    std::vector<uint64_t> preempted;
    for (int i = 0; !h.scheduler.idle(); ++i) {
      for (const RequestId id : h.step().preempted) preempted.push_back(id.value);
      ASSERT_LT(i, 1000);
    }
    EXPECT_FALSE(preempted.empty());
    EXPECT_EQ(std::ranges::count(preempted, 1U), 0);  // the oldest never
    EXPECT_EQ(h.scheduler.counters().preemptions, preempted.size());
    for (uint64_t id = 1; id <= 6; ++id) {
      p.seed = id;
      const auto expected =
          testing::expect_alone(h.executor(), options, {static_cast<TokenId>(id)}, p).tokens;
      EXPECT_EQ(h.told[id].tokens, expected) << id;
      EXPECT_EQ(h.told[id].logprobs.size(), expected.size());
      EXPECT_EQ(h.told[id].finish->usage.completion_tokens, 16);
    }
  }
}

TEST(Scheduler, APreemptedRequestGoesBeforeThoseThatCameLater) {
  Harness h({.max_num_seqs = 1, .max_num_batched_tokens = 64, .force_preempt_every = 3}, {});
  ASSERT_TRUE(h.add(1, prompt_of(5), tokens(8)));
  ASSERT_TRUE(h.add(2, prompt_of(5, 100), tokens(8)));
  bool was_preempted = false;
  while (!h.told[1].finish) {
    const StepPlan plan = h.step();
    was_preempted = was_preempted || !plan.preempted.empty();
    EXPECT_EQ(h.told[2].num_events, 0);
  }
  EXPECT_TRUE(was_preempted);
  h.run_until_idle();
}

TEST(Scheduler, WhatCanNeverFitIsRefusedWithBothNumbers) {
  Harness h({.max_model_len = 100}, {.num_kv_blocks = 1 + 3});
  Status s = h.add(1, prompt_of(10), tokens(4));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().type, "context_length_exceeded");
  EXPECT_THAT(s.error().message, HasSubstr("holds 12 tokens"));
  EXPECT_THAT(s.error().message, HasSubstr("needs 13"));
  EXPECT_TRUE(h.scheduler.idle());
  EXPECT_TRUE(h.add(2, prompt_of(10), tokens(3)));
  h.run_until_idle();
  EXPECT_EQ(h.told[2].tokens.size(), 3U);

  Harness small({.max_model_len = 8}, {});
  s = small.add(1, prompt_of(8), tokens(1));
  ASSERT_FALSE(s);
  EXPECT_THAT(s.error().message, HasSubstr("maximum context length is 8 tokens"));
  EXPECT_TRUE(small.add(2, prompt_of(8), tokens(0)));
}

TEST(Scheduler, MaxModelLenEndsWithLength) {
  Harness h({.max_model_len = 10}, {});
  ASSERT_TRUE(h.add(1, prompt_of(7), tokens(100)));
  h.run_until_idle();
  EXPECT_EQ(h.told[1].tokens.size(), 3U);
  EXPECT_EQ(h.told[1].finish->reason, FinishReason::kLength);
}

// The third generated token is 5, all others 1000 + position.
FakeExecutorOptions third_is_five() {
  return {.vocab_size = 2000,
          .choose = [](uint64_t, int position) { return position == 6 ? 5 : 1000 + position; }};
}

TEST(Scheduler, EosEndsUnseenButCounted) {
  Harness h({.eos_token_ids = {3, 5}}, third_is_five());
  ASSERT_TRUE(h.add(1, prompt_of(4), tokens(10)));
  h.run_until_idle();
  const auto& t = h.told[1];
  EXPECT_EQ(t.tokens, (std::vector<TokenId>{1004, 1005}));
  EXPECT_EQ(t.finish->reason, FinishReason::kStop);
  EXPECT_FALSE(t.finish->stop_token);
  EXPECT_EQ(t.finish->usage.completion_tokens, 3);
  EXPECT_EQ(t.finish->usage.prompt_tokens, 4);
  EXPECT_EQ(t.finish->usage.cached_tokens, 0);
}

TEST(Scheduler, IgnoreEosGeneratesExactlyMaxTokens) {
  Harness h({.eos_token_ids = {5}}, third_is_five());
  SamplingParams p = tokens(10);
  p.ignore_eos = true;
  ASSERT_TRUE(h.add(1, prompt_of(4), p));
  h.run_until_idle();
  EXPECT_EQ(h.told[1].tokens.size(), 10U);
  EXPECT_EQ(h.told[1].tokens[2], 5);
  EXPECT_EQ(h.told[1].finish->reason, FinishReason::kLength);
}

TEST(Scheduler, StopTokenIsNamed) {
  for (const bool ignore_eos : {false, true}) {
    Harness h({.eos_token_ids = {3}}, third_is_five());
    SamplingParams p = tokens(10);
    p.stop_token_ids = {9, 5};
    p.ignore_eos = ignore_eos;
    ASSERT_TRUE(h.add(1, prompt_of(4), p));
    h.run_until_idle();
    EXPECT_EQ(h.told[1].tokens.size(), 2U);
    EXPECT_EQ(h.told[1].finish->reason, FinishReason::kStop);
    EXPECT_EQ(h.told[1].finish->stop_token, 5);
    EXPECT_EQ(h.told[1].finish->usage.completion_tokens, 3);
  }
}

TEST(Scheduler, StopOnTheLastAllowedTokenIsAStop) {
  Harness h({.eos_token_ids = {5}}, third_is_five());
  ASSERT_TRUE(h.add(1, prompt_of(4), tokens(3)));
  h.run_until_idle();
  EXPECT_EQ(h.told[1].finish->reason, FinishReason::kStop);
}

TEST(Scheduler, NanEndsThatRequestAlone) {
  Harness h({}, {.choose = [](uint64_t, int position) { return position == 6 ? -1 : position; }});
  ASSERT_TRUE(h.add(1, prompt_of(4), tokens(10)));  // meets the NaN
  ASSERT_TRUE(h.add(2, prompt_of(7), tokens(4)));   // begins after it
  h.run_until_idle();
  EXPECT_EQ(h.told[1].finish->reason, FinishReason::kError);
  EXPECT_THAT(h.told[1].finish->message, HasSubstr("not a number"));
  EXPECT_EQ(h.told[1].tokens, (std::vector<TokenId>{4, 5}));
  EXPECT_EQ(h.told[1].finish->usage.completion_tokens, 2);
  EXPECT_EQ(h.told[2].finish->reason, FinishReason::kLength);
  EXPECT_EQ(h.told[2].tokens.size(), 4U);
}

TEST(Scheduler, ScoringOnlyGivesPromptLogprobsAndNoToken) {
  for (const int budget : {4, 5, 64}) {
    Harness h({.max_num_seqs = 4, .max_num_batched_tokens = budget}, {});
    SamplingParams p = tokens(0);
    p.prompt_logprobs = 2;
    const auto prompt = prompt_of(11);
    ASSERT_TRUE(h.add(1, prompt, p));
    h.run_until_idle();
    const auto& t = h.told[1];
    EXPECT_TRUE(t.tokens.empty());
    EXPECT_EQ(t.num_events, 1);
    EXPECT_EQ(t.finish->reason, FinishReason::kLength);
    EXPECT_EQ(t.finish->usage.completion_tokens, 0);
    ASSERT_EQ(t.prompt_logprobs.size(), 10U);
    for (size_t i = 0; i < 10; ++i) {
      const std::vector<TokenId> before(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      const PositionLogprobs expected = FakeExecutor::logprobs_of(before, prompt[i + 1], 2);
      EXPECT_EQ(t.prompt_logprobs[i].chosen.token, expected.chosen.token);
      EXPECT_EQ(t.prompt_logprobs[i].chosen.logprob, expected.chosen.logprob);
      EXPECT_EQ(t.prompt_logprobs[i].top.size(), 2U);
    }
  }
}

TEST(Scheduler, ScoringASingleTokenHasNothingToScore) {
  Harness h({}, {});
  SamplingParams p = tokens(0);
  p.prompt_logprobs = 0;
  ASSERT_TRUE(h.add(1, prompt_of(1), p));
  h.run_until_idle();
  EXPECT_TRUE(h.told[1].prompt_logprobs.empty());
  EXPECT_EQ(h.told[1].finish->reason, FinishReason::kLength);
}

TEST(Scheduler, PromptLogprobsComeWithTheFirstToken) {
  Harness h({.max_num_seqs = 4, .max_num_batched_tokens = 4}, {});
  SamplingParams p = tokens(3);
  p.prompt_logprobs = 0;
  ASSERT_TRUE(h.add(1, prompt_of(8), p));
  h.step();
  EXPECT_EQ(h.told[1].num_events, 0);
  h.step();
  EXPECT_EQ(h.told[1].num_events, 1);
  EXPECT_EQ(h.told[1].prompt_logprobs.size(), 7U);
  EXPECT_EQ(h.told[1].tokens.size(), 1U);
  h.run_until_idle();
}

TEST(Scheduler, CancelFreesAtOnceUnlessAStepIsInFlight) {
  Harness h({.max_num_seqs = 1, .max_num_batched_tokens = 64}, {.num_kv_blocks = 1 + 8});
  ASSERT_TRUE(h.add(1, prompt_of(4), tokens(8)));
  ASSERT_TRUE(h.add(2, prompt_of(4), tokens(8)));
  h.step();
  h.cancel(2);  // queued
  EXPECT_EQ(h.told[2].finish->reason, FinishReason::kCancelled);
  EXPECT_EQ(h.scheduler.num_waiting(), 0);
  h.launch();
  h.cancel(1);  // its step runs
  EXPECT_EQ(h.told[1].finish->reason, FinishReason::kCancelled);
  EXPECT_EQ(h.told[1].finish->usage.completion_tokens, 1);
  EXPECT_EQ(h.scheduler.num_running(), 0);
  EXPECT_FALSE(h.scheduler.idle());
  EXPECT_LT(h.scheduler.kv().num_free(), 8);
  EXPECT_EQ(h.launch().num_tokens, 0);
  h.collect();
  EXPECT_TRUE(h.scheduler.idle());
  EXPECT_EQ(h.scheduler.kv().num_free(), 8);
  h.cancel(1);  // finished: fine
  h.cancel(99);
}

TEST(Scheduler, EndAllTellsEveryone) {
  Harness h({.max_num_seqs = 1, .max_num_batched_tokens = 64}, {});
  for (uint64_t id = 1; id <= 3; ++id) ASSERT_TRUE(h.add(id, prompt_of(4), tokens(8)));
  h.step();
  h.scheduler.end_all(FinishReason::kError, "the device is gone");
  h.listen();
  for (uint64_t id = 1; id <= 3; ++id) {
    ASSERT_TRUE(h.told[id].finish);
    EXPECT_EQ(h.told[id].finish->reason, FinishReason::kError);
    EXPECT_EQ(h.told[id].finish->message, "the device is gone");
  }
  EXPECT_TRUE(h.scheduler.idle());
  EXPECT_TRUE(h.scheduler.check_invariants());
}

TEST(Scheduler, ALongQueueEndsInLinearTime) {
  // Four times as much takes four times as long; with a search of the queue for each it would be sixteen.
  std::vector<double> seconds;
  for (const uint64_t count : {10'000, 40'000}) {
    double best = std::numeric_limits<double>::infinity();
    for (int i = 0; i < 3; ++i) {
      Harness h({.max_num_seqs = 1, .max_num_batched_tokens = 64}, {});
      for (uint64_t id = 1; id <= count; ++id) ASSERT_TRUE(h.add(id, {1}, tokens(8)));
      const double start = testing::cpu_seconds();
      h.scheduler.end_all(FinishReason::kCancelled, "");
      best = std::min(best, testing::cpu_seconds() - start);
      std::vector<RequestEvent> events;
      h.scheduler.take_events(events);
      EXPECT_EQ(events.size(), count);
    }
    seconds.push_back(best);
  }
  EXPECT_LT(seconds[1], 10 * seconds[0]);
}

TEST(Scheduler, CountsTokens) {
  Harness h({.max_num_seqs = 4, .max_num_batched_tokens = 4}, {});
  ASSERT_TRUE(h.add(1, prompt_of(10), tokens(5)));
  ASSERT_TRUE(h.add(2, prompt_of(3), tokens(0)));
  h.run_until_idle();
  EXPECT_EQ(h.scheduler.counters().prompt_tokens, 13U);
  EXPECT_EQ(h.scheduler.counters().generation_tokens, 5U);
}

TEST(SchedulerDeathTest, AResultThatIsNotOfThePlanAborts) {
  Harness h({}, {});
  ASSERT_TRUE(h.add(1, prompt_of(4), tokens(8)));
  h.launch();
  StepResult wrong;
  EXPECT_DEATH(h.scheduler.on_result(wrong), "0 results for 1 sequences");
  wrong.seqs.push_back({.id = RequestId{2}, .tokens = {1}});
  EXPECT_DEATH(h.scheduler.on_result(wrong), "result for request 1 has id 2");
  wrong.seqs[0] = {.id = RequestId{1}};
  EXPECT_DEATH(h.scheduler.on_result(wrong), "0 tokens");
}

}  // namespace
}  // namespace pegainfer

// Random traces: whatever arrives, is cancelled, is cut into chunks or shares a batch, every request is told
// exactly what it would be told alone, blocks never leak, and every invariant holds after every step.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "scheduler/harness.h"
#include "scheduler/scheduler.h"

namespace pegainfer {
namespace {

using pegainfer::testing::expect_alone;
using pegainfer::testing::Expected;
using pegainfer::testing::FakeExecutor;
using pegainfer::testing::FakeExecutorOptions;
using pegainfer::testing::Harness;

class Random {
 public:
  explicit Random(unsigned seed) : rng_(seed) {}
  int operator()(int low, int high) { return std::uniform_int_distribution(low, high)(rng_); }
  bool one_in(int n) { return (*this)(1, n) == 1; }

 private:
  std::mt19937 rng_;
};

struct Submission {
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  bool cancelled = false;
};

Submission random_submission(Random& random, int vocab, int max_positions) {
  Submission s;
  const int prompt = random(1, max_positions - 1);
  for (int i = 0; i < prompt; ++i) s.prompt.push_back(random(0, vocab - 1));
  s.sampling.max_tokens = random(0, max_positions - prompt);
  s.sampling.seed = static_cast<uint64_t>(random(0, 1000));
  s.sampling.ignore_eos = random.one_in(3);
  if (random.one_in(3)) s.sampling.stop_token_ids = {random(0, vocab - 1)};
  if (random.one_in(3)) s.sampling.logprobs = random(0, 3);
  if (random.one_in(3)) s.sampling.prompt_logprobs = random(0, 3);
  return s;
}

void expect_as_alone(const Harness& h, const SchedulerOptions& options, const Submission& s, uint64_t id) {
  ASSERT_TRUE(h.told.contains(id)) << id;
  const auto& told = h.told.at(id);
  const Expected expected = expect_alone(h.executor(), options, s.prompt, s.sampling);
  ASSERT_TRUE(told.finish) << id;
  EXPECT_EQ(told.finish->usage.prompt_tokens, static_cast<int>(s.prompt.size()));
  if (told.finish->reason == FinishReason::kCancelled) {
    EXPECT_TRUE(s.cancelled);
    ASSERT_LE(told.tokens.size(), expected.tokens.size());
    EXPECT_TRUE(std::equal(told.tokens.begin(), told.tokens.end(), expected.tokens.begin()));
    return;
  }
  EXPECT_EQ(told.tokens, expected.tokens) << id;
  EXPECT_EQ(told.finish->reason, expected.reason);
  EXPECT_EQ(told.finish->stop_token, expected.stop_token);
  EXPECT_EQ(told.finish->usage.completion_tokens, expected.completion_tokens);
  std::vector<TokenId> before = s.prompt;
  if (s.sampling.logprobs >= 0) {
    ASSERT_EQ(told.logprobs.size(), told.tokens.size());
    for (size_t i = 0; i < told.tokens.size(); ++i) {
      const auto want = FakeExecutor::logprobs_of(before, told.tokens[i], s.sampling.logprobs);
      EXPECT_EQ(told.logprobs[i].chosen.logprob, want.chosen.logprob);
      EXPECT_EQ(told.logprobs[i].top.size(), want.top.size());
      before.push_back(told.tokens[i]);
    }
  } else {
    EXPECT_TRUE(told.logprobs.empty());
  }
  before.clear();
  ASSERT_EQ(told.prompt_logprobs.size(), s.sampling.prompt_logprobs >= 0 ? s.prompt.size() - 1 : 0);
  for (size_t i = 0; i < told.prompt_logprobs.size(); ++i) {
    before.push_back(s.prompt[i]);
    const auto want = FakeExecutor::logprobs_of(before, s.prompt[i + 1], s.sampling.prompt_logprobs);
    EXPECT_EQ(told.prompt_logprobs[i].chosen.token, s.prompt[i + 1]);
    EXPECT_EQ(told.prompt_logprobs[i].chosen.logprob, want.chosen.logprob);
  }
}

void run_trace(unsigned seed) {
  Random random(seed);
  const int vocab = random(3, 40);  // small: EOS, stop tokens and NaN rows happen
  const int block_size = random(1, 8);
  const int num_blocks = random(2, 40);
  SchedulerOptions options;
  options.max_num_seqs = random(1, 8);
  options.max_num_batched_tokens = random(options.max_num_seqs, 24);
  options.max_model_len = random(2, 60);
  options.num_kv_blocks = num_blocks;
  options.block_size = block_size;
  options.eos_token_ids = {0};
  const bool with_nan = random.one_in(4);
  FakeExecutorOptions executor{
      .num_kv_blocks = num_blocks, .block_size = block_size, .vocab_size = vocab, .depth = random(1, 3)};
  executor.choose = [=](uint64_t hash, int) {
    if (with_nan && hash % 50 == 0) return -1;
    return static_cast<TokenId>(hash % static_cast<uint64_t>(vocab));
  };
  Harness h(options, executor);

  const int max_positions = std::max(2, std::min((num_blocks - 1) * block_size, options.max_model_len));
  const int num_requests = random(1, 20);
  std::map<uint64_t, Submission> accepted;
  int num_sent = 0;
  for (int i = 0; num_sent < num_requests || !h.scheduler.idle(); ++i) {
    ASSERT_LT(i, 20000) << "no end";
    while (num_sent < num_requests && random.one_in(2)) {
      const auto id = static_cast<uint64_t>(++num_sent);
      Submission s = random_submission(random, vocab, max_positions);
      if (h.add(id, s.prompt, s.sampling)) accepted.emplace(id, std::move(s));
    }
    if (num_sent > 0 && random.one_in(15)) {
      const auto id = static_cast<uint64_t>(random(1, num_sent));
      if (accepted.contains(id)) accepted.at(id).cancelled = true;
      h.cancel(id);
      ASSERT_TRUE(h.scheduler.check_invariants());
    }
    const int before = h.num_inflight();
    const bool idle = h.scheduler.idle();
    const StepPlan plan = h.step();
    ASSERT_TRUE(idle || plan.num_tokens > 0 || before > 0) << "work and no progress";
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_EQ(h.scheduler.kv().num_free(), num_blocks - 1);
  EXPECT_EQ(h.told.size(), accepted.size());
  for (const auto& [id, submission] : accepted) expect_as_alone(h, options, submission, id);
}

TEST(SchedulerTraces, ThousandsOfRandomTraces) {
  for (unsigned seed = 0; seed < 4000; ++seed) {
    run_trace(seed);
    ASSERT_FALSE(HasFailure()) << "seed " << seed;
  }
}

// One request, cancelled at every point of its life, in pipelines of every depth, beside a neighbour.
TEST(SchedulerTraces, CancelAtEveryPoint) {
  for (int depth = 1; depth <= 3; ++depth) {
    for (int point = 0; point < 40; ++point) {
      SchedulerOptions options{.max_num_seqs = 2, .max_num_batched_tokens = 4, .eos_token_ids = {}};
      Harness h(options, {.num_kv_blocks = 1 + 12, .block_size = 4, .depth = depth});
      SamplingParams p;
      p.max_tokens = 10;
      p.seed = 1;
      ASSERT_TRUE(h.add(1, {1, 2, 3, 4, 5, 6, 7, 8, 9}, p));
      ASSERT_TRUE(h.add(2, {9, 8, 7}, p));
      for (int i = 0; i < point; ++i) {  // odd points lie between a launch and its collection
        if (i % 2 == 0) {
          if (h.num_inflight() < depth) h.launch();
        } else if (h.num_inflight() > 0) {
          h.collect();
        }
      }
      const bool done = h.told[1].finish.has_value();
      h.cancel(1);
      ASSERT_TRUE(h.scheduler.check_invariants());
      ASSERT_TRUE(h.told[1].finish);
      if (!done) {
        EXPECT_EQ(h.told[1].finish->reason, FinishReason::kCancelled);
      }
      h.run_until_idle();
      EXPECT_EQ(h.told[2].tokens, expect_alone(h.executor(), options, {9, 8, 7}, p).tokens);
    }
  }
}

}  // namespace
}  // namespace pegainfer

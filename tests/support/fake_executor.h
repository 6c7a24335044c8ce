// FakeExecutor: a model without weights. The next token is a hash of the seed and of every token before it,
// read back from a paged KV store through the plan's block tables: a wrong block, a stale position or a
// chunk in the wrong place changes the output.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <unordered_map>
#include <vector>

#include "runner/step_executor.h"

namespace pegainfer::testing {

struct FakeExecutorOptions {
  int num_kv_blocks = 64;  // with the null block
  int block_size = 4;
  int vocab_size = 1000;
  int depth = 1;
  // Called at the start of collect(): to wait, or to throw.
  std::function<void(const StepPlan&)> on_collect = {};
  // What health() says after each collect().
  std::function<Status()> health = {};
  // The token for a hash and position, when a test wants to choose; -1: as a NaN row.
  std::function<TokenId(uint64_t hash, int position)> choose = {};
};

class FakeExecutor final : public StepExecutor {
 public:
  explicit FakeExecutor(FakeExecutorOptions options);

  // Aborts the test when a plan breaks the rules of StepPlan.
  void launch(const StepPlan& plan) override;
  void collect(StepResult& result) override;
  [[nodiscard]] int depth() const override { return options_.depth; }
  [[nodiscard]] Status health() const override { return options_.health ? options_.health() : ok_status(); }
  [[nodiscard]] int num_launches() const { return num_launches_; }

  // What the model says after `tokens`: the reference without batches, blocks or chunks.
  static uint64_t hash_of(const std::vector<TokenId>& tokens, uint64_t seed);
  [[nodiscard]] TokenId next_token(const std::vector<TokenId>& tokens, uint64_t seed) const;
  // Log-probabilities of `token` after `before`, as the fake reports them.
  static PositionLogprobs logprobs_of(const std::vector<TokenId>& before, TokenId token, int top_n);

 private:
  [[nodiscard]] size_t slot(const StepPlan& plan, const ScheduledSeq& seq, int position) const;
  void check(const StepPlan& plan) const;
  SeqResult run(const StepPlan& plan, const ScheduledSeq& seq);

  const FakeExecutorOptions options_;
  std::vector<TokenId> kv_;  // [num_kv_blocks * block_size]: the token at each position
  std::deque<StepPlan> launched_;
  std::unordered_map<RequestId, TokenId>
      sampled_;  // the latest of each request: what kPendingToken stands for
  int num_launches_ = 0;
};

}  // namespace pegainfer::testing

// SimExecutor: a model without weights that takes the time a profile says. The next token is a hash of the
// request's seed, its position and the token before it, so runs repeat whatever shares their steps.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "runner/step_executor.h"
#include "sim/profile.h"
#include "sim/sim_clock.h"

namespace pegainfer::sim {

struct SimExecutorOptions {
  SimProfile profile;
  // Generated tokens are of [first_token, first_token + num_tokens); num_tokens 0: up to the vocabulary's
  // end. Never one of eos_token_ids, but with probability eos_probability the first of them.
  TokenId first_token = 0;
  int num_tokens = 0;
  std::vector<TokenId> eos_token_ids = {};
  double eos_probability = 0;
  int depth = 2;
};

class SimExecutor final : public StepExecutor {
 public:
  SimExecutor(SimExecutorOptions options, std::shared_ptr<SimClock> clock);

  void launch(const StepPlan& plan) override;
  void collect(StepResult& result) override;
  [[nodiscard]] int depth() const override { return options_.depth; }

  // The token of `position` after `previous`.
  [[nodiscard]] TokenId next_token(uint64_t seed, int position, TokenId previous) const;
  // Time that steps took since the start.
  [[nodiscard]] double busy_seconds() const { return busy_seconds_; }

 private:
  struct Step {
    StepResult result;
    TimePoint end;
  };
  void run(const StepPlan& plan, const Step* before, StepResult& result) const;
  [[nodiscard]] TokenId last_token(const StepPlan& plan, size_t row, const Step* before) const;

  const SimExecutorOptions options_;
  std::shared_ptr<SimClock> clock_;
  std::vector<Step> steps_;    // a ring: launched ones and the newest of those collected
  uint64_t num_launched_ = 0;  // modulo steps_.size(): where the next goes
  uint64_t num_collected_ = 0;
  TimePoint free_at_;  // when the device has done all that was launched
  double busy_seconds_ = 0;
};

}  // namespace pegainfer::sim

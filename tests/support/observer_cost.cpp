#include "support/observer_cost.h"

#include <algorithm>
#include <chrono>
#include <limits>

namespace pegainfer::testing {

double observer_us_per_step(EngineObserver& observer, int num_rows) {
  constexpr int kSteps = 2000;
  constexpr int kRounds = 5;
  StepPlan plan;
  for (int i = 0; i < num_rows; ++i) {
    ScheduledSeq& seq = plan.seqs.emplace_back();
    seq.id = RequestId{static_cast<uint64_t>(i)};
    seq.num_tokens = 1;
    seq.sample = true;
  }
  plan.num_tokens = num_rows;
  double best = std::numeric_limits<double>::infinity();
  for (int round = 0; round < kRounds; ++round) {
    const TimePoint begin = std::chrono::steady_clock::now();
    for (int step = 0; step < kSteps; ++step) {
      for (const ScheduledSeq& seq : plan.seqs)
        observer.on_tokens(seq.id, 1, false, 0.02 + 1e-6 * seq.num_tokens, begin);
      observer.on_step({.index = static_cast<uint64_t>(step), .plan_begin = begin, .plan = &plan});
    }
    const std::chrono::duration<double, std::micro> us = std::chrono::steady_clock::now() - begin;
    best = std::min(best, us.count() / kSteps);
  }
  return best;
}

}  // namespace pegainfer::testing

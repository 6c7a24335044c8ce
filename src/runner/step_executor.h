// StepExecutor: what the engine loop drives. ModelRunner is the real one; tests and the simulator have their
// own.
#pragma once

#include "pegainfer/result.h"
#include "scheduler/step_plan.h"

namespace pegainfer {

class StepExecutor {
 public:
  virtual ~StepExecutor() = default;
  // Enqueues the step; returns at once on an asynchronous backend. At most `depth()` launches may be
  // uncollected; they run in order. The plan is not needed after the call.
  virtual void launch(const StepPlan& plan) = 0;
  // Waits for the oldest launch; `result` is filled anew.
  virtual void collect(StepResult& result) = 0;
  [[nodiscard]] virtual int depth() const = 0;
  // An error once the device has failed for good: then the results of the last collect() count for nothing.
  [[nodiscard]] virtual Status health() const { return ok_status(); }
};

}  // namespace pegainfer

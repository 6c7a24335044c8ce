// EngineObserver: what the engine loop tells those who watch it (metrics, traces). Called on the engine's
// thread between steps, so an implementation copies what it needs and returns. Without observers nothing of
// this is computed.
#pragma once

#include <cstdint>
#include <string>

#include "base/clock.h"
#include "pegainfer/engine.h"
#include "pegainfer/ids.h"
#include "scheduler/step_plan.h"

namespace pegainfer {

// A request that has reached the engine.
struct QueuedRequest {
  RequestId id;
  std::string name;  // the client's request id; "": none
  int num_prompt_tokens = 0;
  int max_tokens = 0;
  int priority = 0;
  uint64_t group = 0;        // GenerateRequest::group: choices of one prompt share it
  TimePoint arrival;         // before tokenization
  std::string trace_parent;  // as the client sent it; "": it did not
  int num_choices = 1;
  const SamplingParams* sampling = nullptr;  // resolved; valid during the call
};

// The times of a request's life, on the monotonic clock. Those it never reached are TimePoint{}.
struct RequestTimes {
  TimePoint arrival;
  TimePoint queued;
  TimePoint scheduled;  // first taken into a step
  TimePoint first_token;
  TimePoint last_token;
  TimePoint finished;
};

// One step, told when its result has been delivered.
struct StepObservation {
  uint64_t index = 0;
  TimePoint plan_begin;
  TimePoint launch_begin;
  TimePoint launch_end;
  TimePoint wait_begin;
  TimePoint wait_end;
  TimePoint deliver_end;
  const StepPlan* plan = nullptr;  // valid during the call
  int num_running = 0;
  int num_waiting = 0;
  int num_free_blocks = 0;
  int num_total_blocks = 0;
};

class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void on_queued(const QueuedRequest& request, TimePoint now) = 0;
  // Taken into a step: for the first time, or again after a preemption.
  virtual void on_scheduled(RequestId id, int num_cached_tokens, TimePoint now) = 0;
  virtual void on_preempted(RequestId id, TimePoint now) = 0;
  // `num_tokens` new ones, `since_last` seconds after those before (the first: after `arrival`).
  virtual void on_tokens(RequestId id, int num_tokens, bool first, double since_last, TimePoint now) = 0;
  virtual void on_finished(RequestId id, const Finish& finish, const RequestTimes& times) = 0;
  virtual void on_step(const StepObservation& step) = 0;
};

}  // namespace pegainfer

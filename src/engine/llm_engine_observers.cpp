// What LlmEngine tells its observers. Nothing here runs without them.
#include "engine/llm_engine.h"

namespace pegainfer {

void LlmEngine::observe_queued(const Submit& command, Client& client) {
  const TimePoint now = stamp();
  client.times.arrival = client.arrival;
  client.times.queued = now;
  const Request& request = *command.request;
  const QueuedRequest queued{.id = request.id,
                             .name = command.name,
                             .num_prompt_tokens = request.num_prompt_tokens,
                             .max_tokens = request.sampling.max_tokens,
                             .priority = request.options.priority,
                             .group = request.options.group,
                             .arrival = client.arrival,
                             .trace_parent = command.trace_parent,
                             .num_choices = command.num_choices,
                             .sampling = &request.sampling};
  for (const auto& observer : options_.observers) observer->on_queued(queued, now);
}

// Preempted ones first: those taken in may have got their blocks.
void LlmEngine::observe_plan(const StepPlan& plan) {
  if (plan.preempted.empty() && plan.scheduled.empty()) return;
  const TimePoint now = stamp();
  for (const auto& observer : options_.observers) {
    for (const RequestId id : plan.preempted) observer->on_preempted(id, now);
    for (const ScheduledRequest& r : plan.scheduled) observer->on_scheduled(r.id, r.num_cached_tokens, now);
  }
  for (const ScheduledRequest& r : plan.scheduled) {
    RequestTimes& times = clients_.at(r.id).times;
    if (times.scheduled == TimePoint()) times.scheduled = now;
  }
}

// Counts what usage counts: a token that ended the request among them, although no event shows it.
void LlmEngine::observe_tokens(RequestId id, Client& client, const Usage& usage, TimePoint now) {
  const int count = usage.completion_tokens - client.num_tokens;
  if (count <= 0) return;
  RequestTimes& times = client.times;
  const bool first = client.num_tokens == 0;
  const TimePoint before = first ? client.arrival : times.last_token;
  client.num_tokens = usage.completion_tokens;
  if (first) times.first_token = now;
  times.last_token = now;
  const double since = std::chrono::duration<double>(now - before).count();
  for (const auto& observer : options_.observers) observer->on_tokens(id, count, first, since, now);
}

void LlmEngine::observe_finish(RequestId id, Client& client, const Finish& finish, TimePoint now) {
  client.times.finished = now;
  for (const auto& observer : options_.observers) observer->on_finished(id, finish, client.times);
}

void LlmEngine::observe_step(Launch& launch) {
  StepObservation& step = launch.times;
  step.index = num_collected_ - 1;
  step.deliver_end = stamp();
  step.plan = &launch.plan;
  step.num_running = scheduler_.num_running();
  step.num_waiting = scheduler_.num_waiting();
  step.num_free_blocks = scheduler_.kv().num_free();
  step.num_total_blocks = scheduler_.kv().num_blocks();
  for (const auto& observer : options_.observers) observer->on_step(step);
}

}  // namespace pegainfer

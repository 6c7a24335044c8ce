#include "trace/chrome_trace.h"

#include <utility>

namespace pegainfer::trace {

bool ChromeTrace::start() {
  const std::lock_guard lock(mutex_);
  if (recording_ != nullptr) return false;
  recording_ = std::make_unique<Recording>(limits_);
  recording_->data.begin = to_ns(std::chrono::steady_clock::now());
  recording_->data.began_at = std::chrono::system_clock::now();
  on_.store(true);
  return true;
}

std::optional<TraceData> ChromeTrace::stop() {
  const std::lock_guard lock(mutex_);
  if (recording_ == nullptr) return std::nullopt;
  on_.store(false);
  const int64_t now = to_ns(std::chrono::steady_clock::now());
  recording_->tracks.close(now);
  recording_->data.end = now;
  TraceData data = std::move(recording_->data);
  recording_.reset();
  return data;
}

void ChromeTrace::on_queued(const QueuedRequest& request, TimePoint now) {
  if (!on()) return;
  const std::lock_guard lock(mutex_);
  if (recording_ != nullptr) recording_->tracks.on_queued(request, to_ns(now));
}

void ChromeTrace::on_scheduled(RequestId id, int /*num_cached_tokens*/, TimePoint now) {
  if (!on()) return;
  const std::lock_guard lock(mutex_);
  if (recording_ != nullptr) recording_->tracks.on_scheduled(id, to_ns(now));
}

void ChromeTrace::on_preempted(RequestId id, TimePoint now) {
  if (!on()) return;
  const std::lock_guard lock(mutex_);
  if (recording_ != nullptr) recording_->tracks.on_preempted(id, to_ns(now));
}

void ChromeTrace::on_finished(RequestId id, const Finish& finish, const RequestTimes& times) {
  if (!on()) return;
  const std::lock_guard lock(mutex_);
  if (recording_ != nullptr) recording_->tracks.on_finished(id, finish, times);
}

void ChromeTrace::on_step(const StepObservation& step) {
  if (!on()) return;
  const std::lock_guard lock(mutex_);
  if (recording_ == nullptr) return;
  recording_->data.steps.push(
      {.index = step.index,
       .times = {to_ns(step.plan_begin), to_ns(step.launch_begin), to_ns(step.launch_end),
                 to_ns(step.wait_begin), to_ns(step.wait_end), to_ns(step.deliver_end)},
       .num_tokens = step.plan->num_tokens,
       .num_seqs = static_cast<int32_t>(step.plan->seqs.size()),
       .num_running = step.num_running,
       .num_waiting = step.num_waiting,
       .num_free_blocks = step.num_free_blocks,
       .num_total_blocks = step.num_total_blocks});
  recording_->tracks.on_step(step);
}

}  // namespace pegainfer::trace

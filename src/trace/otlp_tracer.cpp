#include "trace/otlp_tracer.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "trace/trace_parent.h"

namespace pegainfer::trace {
namespace {

constexpr size_t kMaxName = 256;     // bytes: names are the client's
constexpr size_t kMaxMessage = 512;  // bytes

// Nanoseconds since 1970 of moments on the monotonic clock, as the clocks stand now.
class UnixTime {
 public:
  UnixTime()
      : system_(std::chrono::duration_cast<std::chrono::nanoseconds>(
            std::chrono::system_clock::now().time_since_epoch())),
        steady_(std::chrono::steady_clock::now()) {}
  [[nodiscard]] int64_t of(TimePoint time) const {
    if (time == TimePoint{}) return 0;
    return (system_ + std::chrono::duration_cast<std::chrono::nanoseconds>(time - steady_)).count();
  }

 private:
  std::chrono::nanoseconds system_;
  TimePoint steady_;
};

}  // namespace

bool OtlpTracer::draw(uint64_t random) const {
  return sampling_.ratio >= 1 || static_cast<double>(random >> 11U) * 0x1p-53 < sampling_.ratio;
}

void OtlpTracer::on_queued(const QueuedRequest& request, TimePoint /*now*/) {
  const std::optional<TraceParent> parent = parse_trace_parent(request.trace_parent);
  const uint64_t low = std::max<uint64_t>(random_(), 1);
  const bool decided = sampling_.parent_based && parent.has_value();
  if (decided ? !parent->sampled : !draw(low)) return;
  Live live{.planned_before = seconds_planned_};
  LlmSpan& span = live.span;
  span.trace_id = parent ? parent->trace_id : fmt::format("{:016x}{:016x}", random_(), low);
  if (parent) span.parent_id = parent->span_id;
  span.request_id =
      request.name.empty() ? std::to_string(request.id.value) : request.name.substr(0, kMaxName);
  span.num_choices = request.num_choices;
  span.max_tokens = request.max_tokens;
  if (request.sampling != nullptr) {
    span.temperature = request.sampling->temperature;
    span.top_p = request.sampling->top_p;
    span.top_k = request.sampling->top_k;
  }
  live_.emplace(request.id, std::move(live));
}

void OtlpTracer::on_preempted(RequestId id, TimePoint /*now*/) {
  const auto found = live_.find(id);
  if (found != live_.end()) ++found->second.span.num_preemptions;
}

void OtlpTracer::on_finished(RequestId id, const Finish& finish, const RequestTimes& times) {
  auto node = live_.extract(id);
  if (node.empty()) return;
  LlmSpan span = std::move(node.mapped().span);
  const UnixTime unix_time;
  span.queued = unix_time.of(times.queued);
  span.arrival = times.arrival == TimePoint{} ? span.queued : unix_time.of(times.arrival);
  span.scheduled = unix_time.of(times.scheduled);
  span.first_token = unix_time.of(times.first_token);
  span.last_token = unix_time.of(times.last_token);
  span.finished = unix_time.of(times.finished);
  span.seconds_planning = seconds_planned_ - node.mapped().planned_before;
  span.reason = finish.reason;
  span.message = finish.message.substr(0, kMaxMessage);
  span.usage = finish.usage;
  exporter_->add(std::move(span));
}

void OtlpTracer::on_step(const StepObservation& step) {
  seconds_planned_ += std::chrono::duration<double>(step.launch_begin - step.plan_begin).count();
}

}  // namespace pegainfer::trace

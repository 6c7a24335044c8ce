#include "trace/request_tracks.h"

#include <algorithm>

namespace pegainfer::trace {
namespace {

constexpr size_t kMaxName = 256;  // bytes: names are the client's

}  // namespace

// The piece that ends now, as the phase says.
void RequestTracks::add(uint64_t id, Track& track, int64_t end, bool open) {
  RequestSpan span{.request = id, .begin = std::max(track.since, data_->begin), .open = open};
  span.end = std::max(end, span.begin);
  switch (track.phase) {
    case Phase::kQueued:
      span.kind = SpanKind::kQueued;
      span.values = track.queued;
      break;
    case Phase::kPrefill: span.kind = SpanKind::kPrefill; break;
    case Phase::kDecode: span.kind = SpanKind::kDecode; break;
    case Phase::kPreempted: span.kind = SpanKind::kPreempted; break;
  }
  data_->spans.push(span);
  track.since = span.end;
}

void RequestTracks::enter(uint64_t id, Track& track, Phase phase, int64_t now) {
  // Chunks of a prompt are pieces of their own (add_prefill).
  if (track.phase == Phase::kPrefill) {
    track.since = std::max(track.since, now);
  } else {
    add(id, track, now);
  }
  num_prefilling_ +=
      static_cast<int>(phase == Phase::kPrefill) - static_cast<int>(track.phase == Phase::kPrefill);
  track.phase = phase;
}

void RequestTracks::add_name(uint64_t id, const std::string& name) {
  data_->names.push({id, name.substr(0, kMaxName)});
}

void RequestTracks::on_queued(const QueuedRequest& request, int64_t now) {
  tracks_[request.id.value] = {.phase = Phase::kQueued,
                               .since = now,
                               .queued = {request.num_prompt_tokens, request.max_tokens, request.priority}};
  if (!request.name.empty()) add_name(request.id.value, request.name);
}

void RequestTracks::on_scheduled(RequestId id, int64_t now) {
  const auto found = tracks_.find(id.value);
  if (found != tracks_.end()) return enter(id.value, found->second, Phase::kPrefill, now);
  tracks_[id.value] = {.phase = Phase::kPrefill, .since = now};
  ++num_prefilling_;
}

void RequestTracks::on_preempted(RequestId id, int64_t now) {
  const auto found = tracks_.find(id.value);
  if (found != tracks_.end()) enter(id.value, found->second, Phase::kPreempted, now);
}

void RequestTracks::on_finished(RequestId id, const Finish& finish, const RequestTimes& times) {
  const int64_t now = to_ns(times.finished);
  const auto found = tracks_.find(id.value);
  if (!adopted_) ended_early_.insert(id.value);
  if (found == tracks_.end()) {
    // Of one that ran before the trace did the times are known.
    const bool ran = times.first_token != TimePoint{};
    Track track{.phase = ran ? Phase::kDecode : Phase::kQueued,
                .since = to_ns(ran ? times.first_token : times.queued)};
    add(id.value, track, now);
  } else {
    add(id.value, found->second, now);
    num_prefilling_ -= static_cast<int>(found->second.phase == Phase::kPrefill);
    tracks_.erase(found);
  }
  const Usage& usage = finish.usage;
  data_->spans.push({.request = id.value,
                     .begin = now,
                     .end = now,
                     .kind = SpanKind::kFinish,
                     .reason = finish.reason,
                     .values = {usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens}});
}

// Decoding rows cost nothing here: only while somebody prefills are the rows looked through.
void RequestTracks::on_step(const StepObservation& step) {
  if (!adopted_) adopt(step);
  if (num_prefilling_ > 0) add_prefill(step);
}

void RequestTracks::adopt(const StepObservation& step) {
  adopted_ = true;
  for (const ScheduledSeq& seq : step.plan->seqs) {
    if (tracks_.contains(seq.id.value) || ended_early_.contains(seq.id.value)) continue;
    const bool decodes = seq.sample;
    tracks_[seq.id.value] = {.phase = decodes ? Phase::kDecode : Phase::kPrefill,
                             .since = to_ns(step.launch_begin)};
    if (!decodes) ++num_prefilling_;
  }
  ended_early_.clear();
}

// With two steps under way a chunk is launched before the one before it has ended; it is shown from then on.
void RequestTracks::add_prefill(const StepObservation& step) {
  const int64_t launch = to_ns(step.launch_begin);
  const int64_t end = to_ns(step.wait_end);
  for (const ScheduledSeq& seq : step.plan->seqs) {
    const auto found = tracks_.find(seq.id.value);
    if (found == tracks_.end() || found->second.phase != Phase::kPrefill) continue;
    Track& track = found->second;
    track.since = std::max(track.since, launch);
    add(seq.id.value, track, end);
    data_->spans.last().values = {seq.num_computed_tokens, seq.num_tokens};
    if (seq.sample) enter(seq.id.value, track, Phase::kDecode, end);
  }
}

void RequestTracks::close(int64_t now) {
  for (auto& [id, track] : tracks_) add(id, track, now, true);
  tracks_.clear();
  num_prefilling_ = 0;
}

}  // namespace pegainfer::trace

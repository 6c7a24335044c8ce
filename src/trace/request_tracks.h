// RequestTracks: turns what the engine tells of requests into the pieces of their lives. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "engine/engine_observer.h"
#include "trace/trace_data.h"

namespace pegainfer::trace {

class RequestTracks {
 public:
  explicit RequestTracks(TraceData& data) : data_(&data) {}

  void on_queued(const QueuedRequest& request, int64_t now);
  void on_scheduled(RequestId id, int64_t now);
  void on_preempted(RequestId id, int64_t now);
  void on_finished(RequestId id, const Finish& finish, const RequestTimes& times);
  void on_step(const StepObservation& step);
  // The trace ends: what goes on is shown until now.
  void close(int64_t now);

 private:
  enum class Phase : uint8_t { kQueued, kPrefill, kDecode, kPreempted };
  struct Track {
    Phase phase = Phase::kQueued;
    int64_t since = 0;  // where the last piece ended
    std::array<int32_t, 3> queued{};
  };

  void add(uint64_t id, Track& track, int64_t end, bool open = false);
  void enter(uint64_t id, Track& track, Phase phase, int64_t now);
  void add_name(uint64_t id, const std::string& name);
  void adopt(const StepObservation& step);
  void add_prefill(const StepObservation& step);

  TraceData* data_;
  std::unordered_map<uint64_t, Track> tracks_;
  int num_prefilling_ = 0;
  // Requests that ran before the trace did are taken up with the first step; not those it ended.
  bool adopted_ = false;
  std::unordered_set<uint64_t> ended_early_;
};

}  // namespace pegainfer::trace

// ChromeTrace: an observer of the engine that records steps and requests while it is switched on. Switched
// off it costs a branch a call. What it keeps is bounded: the last steps and pieces of requests.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "engine/engine_observer.h"
#include "trace/request_tracks.h"
#include "trace/trace_data.h"

namespace pegainfer::trace {

class ChromeTrace final : public EngineObserver {
 public:
  explicit ChromeTrace(const TraceLimits& limits = {}) : limits_(limits) {}

  // Any thread. start() forgets what was recorded; false: it was on already. stop() gives what was recorded
  // since; empty: it was not on.
  bool start();
  std::optional<TraceData> stop();
  [[nodiscard]] bool on() const { return on_.load(std::memory_order_relaxed); }

  void on_queued(const QueuedRequest& request, TimePoint now) override;
  void on_scheduled(RequestId id, int num_cached_tokens, TimePoint now) override;
  void on_preempted(RequestId id, TimePoint now) override;
  // A token is part of its step: nothing to record.
  void on_tokens(RequestId /*id*/, int /*num_tokens*/, bool /*first*/, double /*since_last*/,
                 TimePoint /*now*/) override {}
  void on_finished(RequestId id, const Finish& finish, const RequestTimes& times) override;
  void on_step(const StepObservation& step) override;

 private:
  struct Recording {
    explicit Recording(const TraceLimits& limits) : data(limits), tracks(data) {}
    TraceData data;
    RequestTracks tracks;  // refers to `data`
  };

  const TraceLimits limits_;
  std::atomic<bool> on_{false};
  std::mutex mutex_;
  std::unique_ptr<Recording> recording_;  // while on
};

}  // namespace pegainfer::trace

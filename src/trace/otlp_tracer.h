// OtlpTracer: an observer of the engine that makes a span of each request that is to be traced: of those
// whose traceparent says so, and of a share of those that bring none.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <unordered_map>

#include "engine/engine_observer.h"
#include "trace/otlp_exporter.h"

namespace pegainfer::trace {

// As OTEL_TRACES_SAMPLER names them.
struct OtlpSampling {
  bool parent_based = true;  // a sampled or unsampled parent decides; false: `ratio` always does
  double ratio = 1;          // of requests that nobody has decided about
};

class OtlpTracer final : public EngineObserver {
 public:
  OtlpTracer(std::shared_ptr<OtlpExporter> exporter, const OtlpSampling& sampling)
      : exporter_(std::move(exporter)), sampling_(sampling) {}

  void on_queued(const QueuedRequest& request, TimePoint now) override;
  void on_scheduled(RequestId /*id*/, int /*num_cached_tokens*/, TimePoint /*now*/) override {}
  void on_preempted(RequestId id, TimePoint now) override;
  void on_tokens(RequestId /*id*/, int /*num_tokens*/, bool /*first*/, double /*since_last*/,
                 TimePoint /*now*/) override {}
  void on_finished(RequestId id, const Finish& finish, const RequestTimes& times) override;
  void on_step(const StepObservation& step) override;

 private:
  struct Live {
    LlmSpan span;  // what is known at its beginning
    double planned_before = 0;
  };
  [[nodiscard]] bool draw(uint64_t random) const;

  const std::shared_ptr<OtlpExporter> exporter_;
  const OtlpSampling sampling_;
  // The engine's thread alone.
  std::mt19937_64 random_{std::random_device{}()};
  std::unordered_map<RequestId, Live> live_;
  double seconds_planned_ = 0;
};

}  // namespace pegainfer::trace

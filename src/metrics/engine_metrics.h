// EngineMetrics: the engine's metrics under vLLM's names, types, buckets and labels. The engine's thread
// tells it of requests and tokens as an observer; gauges and counters come from Engine::stats() at the
// scrape, so that they are right while nothing happens. docs/observability.md has the table.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "engine/engine_observer.h"
#include "metrics/histogram.h"
#include "metrics/metrics_page.h"
#include "pegainfer/engine.h"

namespace pegainfer::metrics {

class EngineMetrics final : public EngineObserver, public MetricsSource {
 public:
  EngineMetrics();
  ~EngineMetrics() override;
  EngineMetrics(const EngineMetrics&) = delete;
  EngineMetrics& operator=(const EngineMetrics&) = delete;

  // The engine that calls this observer, once it is there and before its first request; until then there is
  // nothing to collect. It is not kept alive. `cache_config`: what vllm:cache_config_info says besides
  // block_size and num_gpu_blocks.
  void attach(const std::shared_ptr<const Engine>& engine, const std::string& model_name,
              Labels cache_config = {});

  void on_queued(const QueuedRequest& request, TimePoint now) override;
  void on_scheduled(RequestId id, int num_cached_tokens, TimePoint now) override;
  void on_preempted(RequestId id, TimePoint now) override;
  void on_tokens(RequestId id, int num_tokens, bool first, double since_last, TimePoint now) override;
  void on_finished(RequestId id, const Finish& finish, const RequestTimes& times) override;
  void on_step(const StepObservation& step) override;

  void collect(MetricsPage& page) const override;

 private:
  static constexpr size_t kNumReasons = 5;  // of FinishReason
  struct Histograms;
  struct Live {
    int max_tokens = 0;
    uint64_t group = 0;
  };
  struct Group {
    int num_queued = 0;
    int num_live = 0;
    int max_generated = 0;
  };

  void observe_times(const Finish& finish, const RequestTimes& times);
  void leave_group(uint64_t id, int num_generated);
  void collect_stats(MetricsPage& page, const EngineStats& stats) const;
  void collect_counters(MetricsPage& page, const EngineStats& stats) const;
  void collect_histograms(MetricsPage& page) const;
  void collect_cache_config(MetricsPage& page, const EngineInfo& info) const;

  // Set by attach(), once.
  std::atomic<bool> attached_{false};
  std::weak_ptr<const Engine> engine_;
  Labels labels_;
  Labels cache_config_;
  std::unique_ptr<Histograms> histograms_;

  // Written by the engine's thread alone.
  std::array<std::atomic<uint64_t>, kNumReasons> num_finished_{};
  std::unordered_map<RequestId, Live> live_;
  std::unordered_map<uint64_t, Group> groups_;
};

}  // namespace pegainfer::metrics

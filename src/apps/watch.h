// Watch: what `serve` shows of itself: metrics, the stats line, traces. It observes the engine and fills the
// server's endpoints.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/otlp_flags.h"
#include "engine/engine_observer.h"
#include "metrics/engine_metrics.h"
#include "metrics/http_metrics.h"
#include "metrics/stats_line.h"
#include "pegainfer/engine.h"
#include "pegainfer/result.h"
#include "server/app.h"
#include "trace/chrome_trace.h"
#include "trace/profiler.h"

namespace pegainfer::apps {

struct WatchFlags {
  std::string trace_dir;  // "": no traces
  bool disable_log_stats = false;
  OtlpFlags otlp;
};

class Watch {
 public:
  // With a trace_dir a trace begins here. An error when that folder cannot be written to.
  static Result<std::unique_ptr<Watch>> create(const WatchFlags& flags);

  // For the engine, before it is made.
  [[nodiscard]] std::vector<std::shared_ptr<EngineObserver>> observers() const;
  // Fills the endpoints of /metrics and profiles, and counts HTTP exchanges.
  void connect(server::AppOptions& app) const;

  struct Served {
    std::string model_name;
    std::string device;            // "GPU " or "", for the stats line
    metrics::Labels cache_config;  // of vllm:cache_config_info
  };
  // The engine is there and has had no request yet. Any thread.
  void engine_ready(const std::shared_ptr<const Engine>& engine, const Served& served);
  // The server has ended: a trace that is on is written, if there ever was an engine to be seen in it, and
  // what is to be exported is, within five seconds.
  void finish();

 private:
  explicit Watch(WatchFlags flags) : flags_(std::move(flags)) {}

  const WatchFlags flags_;
  std::shared_ptr<metrics::EngineMetrics> engine_metrics_ = std::make_shared<metrics::EngineMetrics>();
  std::shared_ptr<metrics::HttpMetrics> http_metrics_ = std::make_shared<metrics::HttpMetrics>();
  std::shared_ptr<trace::ChromeTrace> trace_;  // null without trace_dir
  std::shared_ptr<trace::Profiler> profiler_;  // as well
  Otlp otlp_;
  std::optional<metrics::StatsLogger> stats_logger_;
  bool ready_ = false;
};

}  // namespace pegainfer::apps

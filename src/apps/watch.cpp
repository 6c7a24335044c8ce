#include "apps/watch.h"

#include <chrono>
#include <utility>

#include "base/log.h"
#include "metrics/process_metrics.h"
#include "server/openai/ignored_fields.h"
#include "server/version.h"

namespace pegainfer::apps {
namespace {

constexpr std::chrono::milliseconds kLastSpans{5'000};

// What the JSON layer counts by itself.
class RequestMetrics final : public metrics::MetricsSource {
 public:
  void collect(metrics::MetricsPage& page) const override {
    page.counter("pegainfer:request_unknown_fields_total",
                 "Fields of requests that this server does not know and ignored.", {},
                 static_cast<double>(openai::unknown_fields().total()));
  }
};

}  // namespace

Result<std::unique_ptr<Watch>> Watch::create(const WatchFlags& flags) {
  std::unique_ptr<Watch> watch(new Watch(flags));
  ASSIGN_OR_RETURN(watch->otlp_, start_otlp(flags.otlp));
  if (flags.trace_dir.empty()) return watch;
  watch->trace_ = std::make_shared<trace::ChromeTrace>();
  ASSIGN_OR_RETURN(watch->profiler_, trace::Profiler::create(watch->trace_, flags.trace_dir));
  RETURN_IF_ERROR(watch->profiler_->start());
  return watch;
}

std::vector<std::shared_ptr<EngineObserver>> Watch::observers() const {
  std::vector<std::shared_ptr<EngineObserver>> out = {engine_metrics_};
  if (trace_ != nullptr) out.push_back(trace_);
  if (otlp_.tracer != nullptr) out.push_back(otlp_.tracer);
  return out;
}

void Watch::connect(server::AppOptions& app) const {
  std::vector<std::shared_ptr<const metrics::MetricsSource>> sources = {
      engine_metrics_, http_metrics_, std::make_shared<metrics::ProcessMetrics>(),
      std::make_shared<metrics::BuildInfo>(std::string(kVersion)), std::make_shared<RequestMetrics>()};
  if (otlp_.exporter != nullptr) sources.push_back(std::make_shared<OtlpMetrics>(otlp_.exporter));
  app.watching.metrics = [sources] { return metrics::render(sources); };
  app.http.on_exchange = [http = http_metrics_](const http::Exchange& e) {
    http->observe(e.method, e.handler, e.status, e.seconds);
  };
  if (profiler_ == nullptr) return;
  app.watching.start_profile = [profiler = profiler_] { return profiler->start(); };
  app.watching.stop_profile = [profiler = profiler_] { return profiler->stop(); };
}

void Watch::engine_ready(const std::shared_ptr<const Engine>& engine, const Served& served) {
  ready_ = true;
  engine_metrics_->attach(engine, served.model_name, served.cache_config);
  if (profiler_ != nullptr) profiler_->set_model_name(served.model_name);
  if (otlp_.exporter != nullptr) otlp_.exporter->set_model_name(served.model_name);
  if (!flags_.disable_log_stats)
    stats_logger_.emplace(engine, metrics::StatsLogger::Options{.device = served.device});
}

void Watch::finish() {
  stats_logger_.reset();
  if (otlp_.exporter != nullptr) otlp_.exporter->finish(kLastSpans);
  if (trace_ == nullptr || !trace_->on()) return;
  if (!ready_) {
    (void)trace_->stop();
    return;
  }
  const Result<std::string> path = profiler_->stop();
  if (path) {
    LOG_INFO("trace written: {}", *path);
  } else {
    LOG_ERROR("the trace is lost: {}", path.error().message);
  }
}

}  // namespace pegainfer::apps

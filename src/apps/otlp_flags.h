// The flag of exported traces, and what comes of it and of OpenTelemetry's environment variables.
#pragma once

#include <memory>
#include <string>

#include "metrics/metrics_page.h"
#include "pegainfer/result.h"
#include "trace/otlp_exporter.h"
#include "trace/otlp_tracer.h"

namespace CLI {  // NOLINT(readability-identifier-naming): not ours
class App;
}

namespace pegainfer::apps {

struct OtlpFlags {
  std::string endpoint;  // "": what the environment says
};

void add_otlp_flags(CLI::App& command, OtlpFlags& flags);

// Both are null when nothing is to be exported.
struct Otlp {
  std::shared_ptr<trace::OtlpExporter> exporter;
  std::shared_ptr<trace::OtlpTracer> tracer;
};
Result<Otlp> start_otlp(const OtlpFlags& flags);

// How many spans went where, for /metrics.
class OtlpMetrics final : public metrics::MetricsSource {
 public:
  explicit OtlpMetrics(std::shared_ptr<const trace::OtlpExporter> exporter)
      : exporter_(std::move(exporter)) {}
  void collect(metrics::MetricsPage& page) const override;

 private:
  std::shared_ptr<const trace::OtlpExporter> exporter_;
};

}  // namespace pegainfer::apps

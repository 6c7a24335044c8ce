#include "apps/otlp_flags.h"

#include <CLI/CLI.hpp>
#include <string_view>
#include <utility>

#include "base/environment.h"
#include "base/log.h"
#include "server/version.h"
#include "trace/http_post.h"
#include "trace/otlp_settings.h"

namespace pegainfer::apps {

void add_otlp_flags(CLI::App& command, OtlpFlags& flags) {
  command
      .add_option("--otlp-traces-endpoint", flags.endpoint,
                  "Export a trace of each request to this URL (OTLP/HTTP, JSON), as http://127.0.0.1:4318; "
                  "default: $OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or $OTEL_EXPORTER_OTLP_ENDPOINT")
      ->group("Watching");
}

Result<Otlp> start_otlp(const OtlpFlags& flags) {
  ASSIGN_OR_RETURN(auto settings, trace::otlp_settings(flags.endpoint, std::string(kVersion),
                                                       [](const char* name) { return environment(name); }));
  if (!settings) return Otlp{};
  ASSIGN_OR_RETURN(auto post, trace::HttpPost::create(settings->url, settings->headers));
  LOG_INFO("traces are exported to {}", trace::without_password(settings->url));
  Otlp otlp;
  otlp.exporter = std::make_shared<trace::OtlpExporter>(std::move(post), std::move(settings->exporter));
  otlp.tracer = std::make_shared<trace::OtlpTracer>(otlp.exporter, settings->sampling);
  return otlp;
}

void OtlpMetrics::collect(metrics::MetricsPage& page) const {
  const trace::OtlpExporter::Counts counts = exporter_->counts();
  const auto show = [&](std::string_view outcome, uint64_t value) {
    page.counter("pegainfer:otlp_requests_total", "Requests whose trace was exported, or was not.",
                 {{"outcome", std::string(outcome)}}, static_cast<double>(value));
  };
  show("exported", counts.exported);
  show("dropped", counts.dropped);
  show("rejected", counts.rejected);
  show("failed", counts.failed);
}

}  // namespace pegainfer::apps

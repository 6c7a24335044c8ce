// Where traces go, out of a flag and of the environment variables that OpenTelemetry defines.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "pegainfer/result.h"
#include "trace/otlp_exporter.h"
#include "trace/otlp_tracer.h"

namespace pegainfer::trace {

struct OtlpSettings {
  std::string url;
  std::vector<std::string> headers;  // "name: value"
  OtlpExporter::Options exporter;
  OtlpSampling sampling;
};

using Environment = std::function<std::optional<std::string>(const char* name)>;

// Nothing: no traces are exported. `endpoint` ("": none) goes before OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, and
// that before OTEL_EXPORTER_OTLP_ENDPOINT, to which /v1/traces is added; to the others it is when they name
// no path. An error names the flag or the variable.
Result<std::optional<OtlpSettings>> otlp_settings(const std::string& endpoint, const std::string& version,
                                                  const Environment& environment);

// A URL as it may be shown: "http://name:password@host/path" without the name and the password.
std::string without_password(const std::string& url);

}  // namespace pegainfer::trace

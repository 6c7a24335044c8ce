// Prometheus' text exposition format, version 0.0.4. prometheus-cpp has a writer too, but Debian ships it as
// a shared library alone, which the statically linked release cannot take; tests hold the two to the same
// bytes.
#pragma once

#include <string>
#include <vector>

namespace prometheus {
struct MetricFamily;
}

namespace pegainfer::metrics {

std::string to_text(const std::vector<prometheus::MetricFamily>& families);

}  // namespace pegainfer::metrics

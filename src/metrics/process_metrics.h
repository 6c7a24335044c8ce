// What the operating system knows of this process, under the names that Prometheus clients use: process_*.
#pragma once

#include <string>
#include <utility>

#include "metrics/metrics_page.h"

namespace pegainfer::metrics {

// Read from /proc at each scrape. What cannot be read is left out.
class ProcessMetrics final : public MetricsSource {
 public:
  void collect(MetricsPage& page) const override;
};

// Which program this is: pegainfer:build_info{version} = 1.
class BuildInfo final : public MetricsSource {
 public:
  explicit BuildInfo(std::string version) : version_(std::move(version)) {}
  void collect(MetricsPage& page) const override;

 private:
  std::string version_;
};

}  // namespace pegainfer::metrics

// What the operating system knows of this process, under the names that Prometheus clients use: process_*.
#pragma once

#include "metrics/metrics_page.h"

namespace pegainfer::metrics {

// Read from /proc at each scrape. What cannot be read is left out.
class ProcessMetrics final : public MetricsSource {
 public:
  void collect(MetricsPage& page) const override;
};

}  // namespace pegainfer::metrics

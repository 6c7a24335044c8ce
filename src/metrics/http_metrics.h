// HttpMetrics: how many HTTP exchanges ended how, and how long they took.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "metrics/histogram.h"
#include "metrics/metrics_page.h"

namespace pegainfer::metrics {

class HttpMetrics final : public MetricsSource {
 public:
  HttpMetrics();
  // One exchange has ended. `handler` is the route's path, never the request's: the number of label values
  // must not be the client's choice. `status` 0: the client left before an answer. Any thread.
  void observe(std::string_view method, std::string_view handler, int status, double seconds);
  void collect(MetricsPage& page) const override;

 private:
  mutable std::mutex mutex_;
  std::map<std::tuple<std::string, std::string, std::string>, uint64_t> totals_;  // handler, method, status
  std::map<std::pair<std::string, std::string>, std::unique_ptr<Histogram>> durations_;  // handler, method
  Histogram all_durations_;  // in finer buckets, without labels
};

}  // namespace pegainfer::metrics

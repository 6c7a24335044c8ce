#include "metrics/http_metrics.h"

#include <fmt/core.h>

#include "metrics/buckets.h"

namespace pegainfer::metrics {

HttpMetrics::HttpMetrics() : all_durations_(fine_http_time_buckets()) {}

void HttpMetrics::observe(std::string_view method, std::string_view handler, int status, double seconds) {
  // 499 is what proxies log for a client that left.
  const std::string status_class = fmt::format("{}xx", (status == 0 ? 499 : status) / 100);
  const std::lock_guard lock(mutex_);
  ++totals_[{std::string(handler), std::string(method), status_class}];
  auto& duration = durations_[{std::string(handler), std::string(method)}];
  if (duration == nullptr) duration = std::make_unique<Histogram>(http_time_buckets());
  duration->observe(seconds);
  all_durations_.observe(seconds);
}

void HttpMetrics::collect(MetricsPage& page) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, count] : totals_) {
    const auto& [handler, method, status] = key;
    page.counter("http_requests_total", "Total number of requests by method, status and handler.",
                 {{"handler", handler}, {"method", method}, {"status", status}}, static_cast<double>(count));
  }
  for (const auto& [key, duration] : durations_) {
    page.histogram("http_request_duration_seconds",
                   "Time from a request's arrival to the end of its answer, in seconds.",
                   {{"handler", key.first}, {"method", key.second}}, *duration);
  }
  if (totals_.empty()) return;
  page.histogram("http_request_duration_highr_seconds",
                 "The same over all handlers and methods, in finer buckets.", {}, all_durations_);
}

}  // namespace pegainfer::metrics

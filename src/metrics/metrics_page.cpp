#include "metrics/metrics_page.h"

#include <prometheus/metric_family.h>

#include <limits>

#include "metrics/text_format.h"

namespace pegainfer::metrics {

struct MetricsPage::Families {
  std::vector<prometheus::MetricFamily> all;
};

namespace {

prometheus::ClientMetric& add(std::vector<prometheus::MetricFamily>& families, std::string_view name,
                              std::string_view help, prometheus::MetricType type, const Labels& labels) {
  if (families.empty() || families.back().name != name) {
    prometheus::MetricFamily& family = families.emplace_back();
    family.name = name;
    family.help = help;
    family.type = type;
  }
  prometheus::ClientMetric& metric = families.back().metric.emplace_back();
  metric.label.reserve(labels.size());
  for (const auto& [key, value] : labels) metric.label.push_back({key, value});
  return metric;
}

}  // namespace

MetricsPage::MetricsPage() : families_(std::make_unique<Families>()) {}
MetricsPage::~MetricsPage() = default;

void MetricsPage::counter(std::string_view name, std::string_view help, const Labels& labels, double value) {
  add(families_->all, name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void MetricsPage::gauge(std::string_view name, std::string_view help, const Labels& labels, double value) {
  add(families_->all, name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

// The count is the sum of the buckets, so that a page is consistent while the writer goes on.
void MetricsPage::histogram(std::string_view name, std::string_view help, const Labels& labels,
                            const Histogram& histogram) {
  prometheus::ClientMetric::Histogram& out =
      add(families_->all, name, help, prometheus::MetricType::Histogram, labels).histogram;
  const std::vector<double>& bounds = histogram.bounds();
  const std::vector<uint64_t> counts = histogram.counts();
  out.sample_sum = histogram.sum();
  for (size_t i = 0; i < counts.size(); ++i) {
    out.sample_count += counts[i];
    const double bound = i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity();
    out.bucket.push_back({out.sample_count, bound});
  }
}

std::string MetricsPage::text() const { return to_text(families_->all); }

std::string render(const std::vector<std::shared_ptr<const MetricsSource>>& sources) {
  MetricsPage page;
  for (const auto& source : sources) source->collect(page);
  return page.text();
}

}  // namespace pegainfer::metrics

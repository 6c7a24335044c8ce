#include "metrics/text_format.h"

#include <fmt/format.h>
#include <prometheus/metric_family.h>

#include <cmath>
#include <iterator>
#include <string_view>
#include <utility>

namespace pegainfer::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::string number(double value) {
  if (std::isnan(value)) return "Nan";
  if (std::isinf(value)) return value < 0 ? "-Inf" : "+Inf";
  return fmt::format("{:.16g}", value);  // 0.1 stays 0.1
}

// Label values escape quotes too, help texts do not.
void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

// name_suffix{labels...,bound}
void append_head(std::string& out, std::string_view name, std::string_view suffix, const ClientMetric& metric,
                 std::string_view bound = {}) {
  out += name;
  out += suffix;
  if (metric.label.empty() && bound.empty()) {
    out += ' ';
    return;
  }
  char separator = '{';
  const auto append_label = [&](std::string_view key, std::string_view value) {
    out += std::exchange(separator, ',');
    out += key;
    out += "=\"";
    append_escaped(out, value, true);
    out += '"';
  };
  for (const ClientMetric::Label& label : metric.label) append_label(label.name, label.value);
  if (!bound.empty()) append_label("le", bound);
  out += "} ";
}

void append_histogram(std::string& out, const MetricFamily& family, const ClientMetric& metric) {
  const auto into = std::back_inserter(out);
  append_head(out, family.name, "_count", metric);
  fmt::format_to(into, "{}\n", metric.histogram.sample_count);
  append_head(out, family.name, "_sum", metric);
  fmt::format_to(into, "{}\n", number(metric.histogram.sample_sum));
  for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
    append_head(out, family.name, "_bucket", metric, number(bucket.upper_bound));
    fmt::format_to(into, "{}\n", bucket.cumulative_count);
  }
}

std::string_view type_name(MetricType type) {
  switch (type) {
    case MetricType::Counter: return "counter";
    case MetricType::Gauge: return "gauge";
    case MetricType::Histogram: return "histogram";
    default: return "untyped";
  }
}

}  // namespace

std::string to_text(const std::vector<MetricFamily>& families) {
  std::string out;
  for (const MetricFamily& family : families) {
    if (!family.help.empty()) {
      fmt::format_to(std::back_inserter(out), "# HELP {} ", family.name);
      append_escaped(out, family.help, false);
      out += '\n';
    }
    fmt::format_to(std::back_inserter(out), "# TYPE {} {}\n", family.name, type_name(family.type));
    for (const ClientMetric& metric : family.metric) {
      if (family.type == MetricType::Histogram) {
        append_histogram(out, family, metric);
        continue;
      }
      append_head(out, family.name, "", metric);
      const double value = family.type == MetricType::Counter ? metric.counter.value : metric.gauge.value;
      fmt::format_to(std::back_inserter(out), "{}\n", number(value));
    }
  }
  return out;
}

}  // namespace pegainfer::metrics

// MetricsPage: what one scrape of /metrics answers. Sources put their metrics on it; text() is Prometheus'
// text format. The data model behind it is prometheus-cpp's, hidden from the includers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "metrics/histogram.h"

namespace pegainfer::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

// A metric of one name may be put on several times in a row, with other labels each time.
class MetricsPage {
 public:
  MetricsPage();
  ~MetricsPage();
  MetricsPage(const MetricsPage&) = delete;
  MetricsPage& operator=(const MetricsPage&) = delete;

  void counter(std::string_view name, std::string_view help, const Labels& labels, double value);
  void gauge(std::string_view name, std::string_view help, const Labels& labels, double value);
  void histogram(std::string_view name, std::string_view help, const Labels& labels,
                 const Histogram& histogram);

  [[nodiscard]] std::string text() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

class MetricsSource {
 public:
  virtual ~MetricsSource() = default;
  // Any thread.
  virtual void collect(MetricsPage& page) const = 0;
};

// The content type that belongs to MetricsPage::text().
inline constexpr std::string_view kTextContentType = "text/plain; version=0.0.4; charset=utf-8";

std::string render(const std::vector<std::shared_ptr<const MetricsSource>>& sources);

}  // namespace pegainfer::metrics

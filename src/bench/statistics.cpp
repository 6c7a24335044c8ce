#include "bench/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace pegainfer::bench {

double percentile(const std::vector<double>& sorted, double percent) {
  if (sorted.empty()) return 0;
  const double rank = percent / 100 * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(std::floor(rank));
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (rank - static_cast<double>(below));
}

Summary summarize(std::vector<double> values, const std::vector<double>& percents) {
  std::ranges::sort(values);
  Summary out;
  if (!values.empty()) {
    const auto n = static_cast<double>(values.size());
    out.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
    double squares = 0;
    for (const double v : values) squares += (v - out.mean) * (v - out.mean);
    out.std = std::sqrt(squares / n);
  }
  out.median = percentile(values, 50);
  for (const double p : percents) out.percentiles.emplace_back(p, percentile(values, p));
  return out;
}

}  // namespace pegainfer::bench

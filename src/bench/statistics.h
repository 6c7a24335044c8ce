// Mean, median, deviation and percentiles of a list of figures, as numpy gives them.
#pragma once

#include <utility>
#include <vector>

namespace pegainfer::bench {

struct Summary {
  double mean = 0;
  double median = 0;
  double std = 0;                                      // of the population
  std::vector<std::pair<double, double>> percentiles;  // (which, value), in the order asked for
};

// Linear between the neighbouring ranks; `percent` in [0, 100]. 0 without values. `sorted` ascends.
[[nodiscard]] double percentile(const std::vector<double>& sorted, double percent);
// All zero without values.
[[nodiscard]] Summary summarize(std::vector<double> values, const std::vector<double>& percents);

}  // namespace pegainfer::bench

// A strict reader of Prometheus' text format 0.0.4: what a scraper may refuse, and what makes a page wrong
// though it parses (a family in two pieces, a sample twice, buckets that fall, a count that is not +Inf's).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pegainfer/result.h"

namespace pegainfer::testing {

struct Sample {
  std::string name;  // with _bucket, _sum or _count
  std::map<std::string, std::string> labels;
  double value = 0;
};

struct Family {
  std::string help;
  std::string type;
  std::vector<Sample> samples;
};

struct Exposition {
  std::map<std::string, Family> families;

  // The sample with exactly these labels besides the `common` ones; NaN when there is none.
  [[nodiscard]] double value(const std::string& name, const std::map<std::string, std::string>& labels = {},
                             const std::vector<std::string>& common = {"model_name", "engine"}) const;
};

// The error says which line is wrong and why.
Result<Exposition> parse_exposition(std::string_view text);

}  // namespace pegainfer::testing

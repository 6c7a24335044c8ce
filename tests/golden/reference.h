// A reference file of this folder (README.md says what is in it), and how far measured log-probabilities are
// from it.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/result.h"

namespace pegainfer::testing {

struct ReferenceGreedy {
  std::vector<TokenId> ids;
  std::vector<double> f32, bf16, margin;                      // [ids]
  std::vector<std::vector<std::pair<TokenId, double>>> top5;  // [ids], of the F32 run
};

struct ReferencePrompt {
  std::vector<TokenId> ids;
  std::vector<double> f32, bf16;  // [ids - 1]
  ReferenceGreedy greedy;         // empty when there is none
};

struct Reference {
  double drift_mean = 0;  // of the reference's own BF16 run from its F32 run
  double drift_p99 = 0;
  std::vector<ReferencePrompt> prompts;
};

Result<Reference> read_reference(const std::string& path);

// Of absolute differences.
class Differences {
 public:
  void add(double measured, double expected);
  [[nodiscard]] size_t count() const { return values_.size(); }
  [[nodiscard]] double mean() const;
  [[nodiscard]] double quantile(double q) const;
  [[nodiscard]] double max() const { return quantile(1.0); }
  [[nodiscard]] std::string text() const;  // "mean 0.0123, p99 0.0456, max 0.0789 over 616"

 private:
  std::vector<double> values_;
};

}  // namespace pegainfer::testing

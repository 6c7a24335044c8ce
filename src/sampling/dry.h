// DRY ("don't repeat yourself"): tokens that would go on with a repetition, and how long it would be.
#pragma once

#include <span>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/sampling_params.h"
#include "sampling/logits_work.h"

namespace pegainfer {

class Dry {
 public:
  explicit Dry(const DryParams& params) : params_(&params) {}  // which outlives it

  // Appends for each token that stood after an earlier occurrence of the sequence's last n tokens, n at
  // least allowed_length, -multiplier * base^(n - allowed_length) for the longest such n. What n counts does
  // not reach over a sequence breaker, nor beyond the last penalty_last_n tokens. A token may come twice in
  // `out` only by what was there before.
  void append(std::span<const TokenId> tokens, std::vector<LogitEdit>& out);

 private:
  [[nodiscard]] size_t longest_allowed(std::span<const TokenId> window) const;
  void find_matches(std::span<const TokenId> window);

  const DryParams* params_;
  std::vector<size_t> match_;  // [window]: common suffix of the window and its beginning up to here
  struct Continued {
    TokenId token;
    size_t length;
  };
  std::vector<Continued> continued_;
};

}  // namespace pegainfer

#include "kernels/cpu/penalties.h"

#include <algorithm>
#include <limits>

namespace pegainfer::cpu {

float penalized(float logit, int32_t count, const PenaltyRow& row) {
  logit = logit > 0 ? logit / row.repetition : logit * row.repetition;
  logit -= row.frequency * static_cast<float>(count);
  return count > 0 ? logit - row.presence : logit;
}

void mask_logits(float* logits, int64_t n, const uint32_t* mask) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  for (int64_t begin = 0; begin < n; begin += 32) {
    const uint32_t word = mask[begin / 32];
    if (word == ~0U) continue;
    const int64_t end = std::min(begin + 32, n);
    for (int64_t i = begin; i < end; ++i)
      if ((word >> static_cast<unsigned>(i - begin) & 1U) == 0) logits[i] = kNever;
  }
}

}  // namespace pegainfer::cpu

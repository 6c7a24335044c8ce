#include "kernels/cpu/penalties.h"

namespace pegainfer::cpu {

float penalized(float logit, int32_t count, const PenaltyRow& row) {
  logit = logit > 0 ? logit / row.repetition : logit * row.repetition;
  logit -= row.frequency * static_cast<float>(count);
  return count > 0 ? logit - row.presence : logit;
}

}  // namespace pegainfer::cpu

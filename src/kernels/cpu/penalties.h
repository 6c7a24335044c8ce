// What a logit is after the penalties for having been said: backend/ops.h, apply_penalties.
#pragma once

#include <cstdint>

namespace pegainfer::cpu {

struct PenaltyRow {
  float repetition = 1;
  float presence = 0;
  float frequency = 0;
};

float penalized(float logit, int32_t count, const PenaltyRow& row);

}  // namespace pegainfer::cpu

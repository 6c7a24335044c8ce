// What becomes of logits before a token is drawn: backend/ops.h, apply_penalties and mask_logits.
#pragma once

#include <cstdint>

namespace pegainfer::cpu {

struct PenaltyRow {
  float repetition = 1;
  float presence = 0;
  float frequency = 0;
};

float penalized(float logit, int32_t count, const PenaltyRow& row);

// -infinity where `mask`, [(n + 31) / 32], has no bit.
void mask_logits(float* logits, int64_t n, const uint32_t* mask);

}  // namespace pegainfer::cpu

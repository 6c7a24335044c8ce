// Penalties for tokens that were said: backend/ops.h, apply_penalties.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pegainfer::cuda {

struct PenaltyParams {
  int64_t rows = 0;
  int64_t vocab = 0;
  float* logits = nullptr;  // [rows, vocab]
  int64_t logits_stride = 0;
  const int32_t* begin = nullptr;  // [rows + 1], contiguous, as the rest is
  const int32_t* ids = nullptr;    // [entries]
  const int32_t* counts = nullptr;
  const float* repetition = nullptr;  // [rows]
  const float* presence = nullptr;
  const float* frequency = nullptr;
};
cudaError_t apply_penalties(const PenaltyParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda

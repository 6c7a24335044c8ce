// What becomes of logits before a token is drawn: backend/ops.h, add_logits, mask_logits, apply_penalties.
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

struct LogitEditParams {
  int64_t rows = 0;
  int64_t vocab = 0;
  float* logits = nullptr;  // [rows, vocab]
  int64_t logits_stride = 0;
  const int32_t* begin = nullptr;  // [rows + 1], contiguous, as the rest is
  const int32_t* ids = nullptr;    // [entries]
  const float* adds = nullptr;
};
cudaError_t add_logits(const LogitEditParams& p, cudaStream_t stream);

struct MaskParams {
  int64_t rows = 0;
  int64_t vocab = 0;
  float* logits = nullptr;  // [rows, vocab]
  int64_t logits_stride = 0;
  const int32_t* index = nullptr;   // [rows], contiguous
  const uint32_t* words = nullptr;  // [masks, (vocab + 31) / 32]
  int64_t words_stride = 0;
};
cudaError_t mask_logits(const MaskParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda

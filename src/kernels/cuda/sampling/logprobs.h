// Log-softmax of rows at one token each, and their largest entries.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pegainfer::cuda {

struct LogprobsParams {
  static constexpr int kMaxTop = 32;
  int64_t rows = 0;
  int64_t vocab = 0;              // at most 2^18
  const float* logits = nullptr;  // [rows, vocab]
  int64_t logits_stride = 0;
  const int32_t* targets = nullptr;  // [rows]; one outside the row, as -1 is, gives NaN
  int64_t targets_stride = 1;
  float* out = nullptr;  // [rows]
  int64_t out_stride = 1;
  int top_n = 0;               // at most kMaxTop
  int32_t* top_ids = nullptr;  // [rows, top_n]: descending, lowest id first on a tie; -1 where there is none
  int64_t top_ids_stride = 0;
  float* top_logprobs = nullptr;  // [rows, top_n]; NaN where there is none, and in a row with a NaN
  int64_t top_logprobs_stride = 0;

  int num_sms = 0;  // of the device
  size_t shared_bytes = 0;
};
cudaError_t logprobs(const LogprobsParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda

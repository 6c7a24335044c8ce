// A bias in the type that the library's epilogue takes.
#pragma once

#include <cuda_runtime.h>

namespace pegainfer::cuda {

struct RoundBiasParams {
  const float* bias = nullptr;  // [n]
  int n = 0;
  void* out = nullptr;  // [n] BF16
};

cudaError_t round_bias(const RoundBiasParams& params, cudaStream_t stream);

}  // namespace pegainfer::cuda

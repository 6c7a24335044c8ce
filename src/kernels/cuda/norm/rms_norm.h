// RMS norm of rows.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

struct RmsNormParams {
  DType dtype = DType::kBF16;  // kBF16 or kF32
  int64_t rows = 0;
  int64_t cols = 0;
  const void* x = nullptr;  // [rows, cols]
  int64_t x_stride = 0;
  const float* weight = nullptr;  // [cols]
  float eps = 0;
  void* out = nullptr;  // [rows, cols]: round(round(x * rsqrt(mean(x^2) + eps)) * weight); may be x
  int64_t out_stride = 0;
  int num_sms = 0;
};
cudaError_t rms_norm(const RmsNormParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda

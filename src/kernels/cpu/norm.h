// RMS norm of rows, and the residual sum.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa.h"
#include "tensor/tensor.h"

namespace pegainfer::cpu {

// Rows [row_begin, row_end). x, delta and out [rows, cols] all BF16 or all F32; weight [cols] F32.
struct NormKernels {
  // out = round(x * rsqrt(mean(x^2) + eps)) * weight; out may be x.
  void (*rms_norm)(const Tensor& x, const float* weight, float eps, const Tensor& out, int64_t row_begin,
                   int64_t row_end);
  // x = round(x + delta).
  void (*add)(const Tensor& x, const Tensor& delta, int64_t row_begin, int64_t row_end);
};

[[nodiscard]] const NormKernels& norm_kernels(Isa isa);

}  // namespace pegainfer::cpu

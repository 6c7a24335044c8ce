// x w^T for any types, sizes and alignments, with F32 products and sums: what the tuned paths do not take.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

struct GenericLinearParams {
  const void* x = nullptr;  // [rows, cols]
  DType x_dtype = DType::kF32;
  int64_t x_stride = 0;
  int rows = 0;
  int cols = 0;
  const void* w = nullptr;  // [n, cols]
  DType w_dtype = DType::kF32;
  int n = 0;
  const float* bias = nullptr;  // [n] or null
  void* out = nullptr;          // [rows, n]
  DType out_dtype = DType::kF32;
  int64_t out_stride = 0;
};

cudaError_t generic_linear(const GenericLinearParams& params, cudaStream_t stream);

}  // namespace pegainfer::cuda

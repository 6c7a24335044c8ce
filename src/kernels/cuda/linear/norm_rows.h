// RMSNorm of a few BF16 rows, between two streaming products.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace pegainfer::cuda {

struct NormRowsParams {
  const void* x = nullptr;  // [rows, cols] BF16, 16-byte aligned, rows x_stride (a multiple of 8) apart
  int64_t x_stride = 0;
  int rows = 0;
  int cols = 0;                 // a multiple of 8
  const float* norm = nullptr;  // [cols]
  float eps = 0;
  void* out = nullptr;  // [rows, cols] BF16, likewise; may be x
  int64_t out_stride = 0;
};

cudaError_t norm_rows(const NormRowsParams& params, cudaStream_t stream);

}  // namespace pegainfer::cuda

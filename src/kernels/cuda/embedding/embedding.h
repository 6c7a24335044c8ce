// Rows of a table as activations.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

struct EmbeddingParams {
  static constexpr int kMaxParts = 3;
  struct Part {  // [rows, cols], parts below each other
    const void* data = nullptr;
    int64_t rows = 0;
    DType dtype = DType::kBF16;  // kBF16 or kF32
  };
  Part parts[kMaxParts];
  int num_parts = 0;
  int64_t tokens = 0;
  int64_t cols = 0;
  const int32_t* ids = nullptr;  // [tokens]; one outside the table gives NaNs
  int64_t ids_stride = 1;
  void* out = nullptr;  // [tokens, cols] of out_dtype, rounded
  DType out_dtype = DType::kBF16;
  int64_t out_stride = 0;
};
cudaError_t embedding(const EmbeddingParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda

// What works element by element: the residual sum, SwiGLU's product, copies of rows.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

// Activations: kBF16 or kF32, rows `stride` elements apart.
struct AddParams {
  DType dtype = DType::kBF16;
  int64_t rows = 0;
  int64_t cols = 0;
  void* x = nullptr;  // [rows, cols]: x = round(x + delta)
  int64_t x_stride = 0;
  const void* delta = nullptr;  // [rows, cols]
  int64_t delta_stride = 0;
};
cudaError_t add(const AddParams& p, cudaStream_t stream);

struct SiluMulParams {
  DType dtype = DType::kBF16;
  int64_t rows = 0;
  int64_t cols = 0;               // n
  const void* gate_up = nullptr;  // [rows, 2 n]: gate in the first n columns
  int64_t gate_up_stride = 0;
  void* out = nullptr;  // [rows, n]: round(round(silu(gate)) * up)
  int64_t out_stride = 0;
};
cudaError_t silu_mul(const SiluMulParams& p, cudaStream_t stream);

struct GatherRowsParams {
  DType dtype = DType::kBF16;
  int64_t rows = 0;
  int64_t cols = 0;
  const void* x = nullptr;  // [any, cols]
  int64_t x_stride = 0;
  const int32_t* indices = nullptr;  // [rows]
  int64_t indices_stride = 1;
  void* out = nullptr;  // [rows, cols]: out[i] = x[indices[i]]
  int64_t out_stride = 0;
};
cudaError_t gather_rows(const GatherRowsParams& p, cudaStream_t stream);

// ids[t] = max(tokens[rows[t]], 0) where rows[t] >= 0.
struct TakeTokensParams {
  int64_t count = 0;
  const int32_t* tokens = nullptr;
  int64_t tokens_stride = 1;
  const int32_t* rows = nullptr;  // [count]
  int64_t rows_stride = 1;
  int32_t* ids = nullptr;  // [count]
  int64_t ids_stride = 1;
};
cudaError_t take_tokens(const TakeTokensParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda

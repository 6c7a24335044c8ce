// Rotary position embedding: the table of a step, and per-head norm and rotation of q and k, with or without
// the storing of k and v into the cache.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/kv/kv_cache.h"
#include "tensor/dtype.h"

namespace pegainfer::cuda {

struct RopeTableParams {
  int64_t tokens = 0;
  int64_t half = 0;                    // rotary_dim / 2
  const int32_t* positions = nullptr;  // [tokens]
  int64_t positions_stride = 1;
  const float* inv_freq = nullptr;  // [half]
  float factor = 1;
  bool round_to_bf16 = true;
  float* out = nullptr;  // [tokens, 2 * half]: cosines of the F32 product position * inv_freq, times factor;
  int64_t out_stride = 0;  // then the sines
};
cudaError_t rope_table(const RopeTableParams& p, cudaStream_t stream);

struct QkNormRopeParams {
  DType dtype = DType::kBF16;  // of q, k and v
  int64_t tokens = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int rotary_dim = 0;  // the first columns of a head turn
  void* q = nullptr;   // [tokens, heads * head_dim], in place
  int64_t q_stride = 0;
  void* k = nullptr;  // [tokens, kv_heads * head_dim], in place
  int64_t k_stride = 0;
  const float* q_norm = nullptr;  // [head_dim], or null: no norm
  const float* k_norm = nullptr;
  float eps = 0;
  const float* table = nullptr;  // [tokens, rotary_dim]
  int64_t table_stride = 0;

  bool store = false;       // k, once turned, and v also go into the cache
  const void* v = nullptr;  // [tokens, kv_heads * head_dim]
  int64_t v_stride = 0;
  KvLayer kv;
};
// Whether heads go 16 bytes at a time: BF16 throughout, whole heads turn, rows are aligned.
[[nodiscard]] bool rope_in_vectors(const QkNormRopeParams& p);
cudaError_t qk_norm_rope(const QkNormRopeParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda

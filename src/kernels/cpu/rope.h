// Rotary position embedding: the table of a step, and per-head norm and rotation of q and k in place.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa.h"
#include "tensor/tensor.h"

namespace pegainfer::cpu {

// Rows [row_begin, row_end) of out [tokens, rotary_dim] F32: cosines of positions[t] * inv_freq[i] * factor,
// then the sines; rounded to BF16 values when round_to is kBF16. positions [tokens, 1] I32, inv_freq
// [rotary_dim / 2].
void rope_table(const Tensor& positions, const float* inv_freq, float factor, DType round_to,
                const Tensor& out, int64_t row_begin, int64_t row_end);

struct QkNormRopeArgs {
  Tensor q;                       // [tokens, heads * head_dim] BF16 or F32
  Tensor k;                       // [tokens, kv_heads * head_dim], of q's dtype
  int head_dim = 0;               // the rotary_dim = table.cols first columns of a head turn
  const float* q_norm = nullptr;  // [head_dim], or null: no norm
  const float* k_norm = nullptr;
  float eps = 0;
  Tensor table;  // [tokens, rotary_dim] F32, rope_table's out
};

struct RopeKernels {
  void (*qk_norm_rope)(const QkNormRopeArgs& args, int64_t row_begin, int64_t row_end);
};

[[nodiscard]] const RopeKernels& rope_kernels(Isa isa);

}  // namespace pegainfer::cpu

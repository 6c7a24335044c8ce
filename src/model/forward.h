// Forward: the instrument a model definition plays. Ops that return values out of the step's arena, in the
// arithmetic of the model.
#pragma once

#include <cstdint>

#include "backend/arena.h"
#include "backend/batch_view.h"
#include "backend/ops.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace pegainfer {

struct Rope {
  Tensor inv_freq;      // [1, head_dim / 2] F32
  float factor = 1.0F;  // YaRN's attention factor
};

struct HeadsView {  // column slices of one qkv tensor
  Tensor q;         // [tokens, heads * head_dim]
  Tensor k;         // [tokens, kv_heads * head_dim]
  Tensor v;         // [tokens, kv_heads * head_dim]
};

class Forward {
 public:
  // `arithmetic`: kBF16 or kF32, the type of every activation but the logits.
  Forward(Ops& ops, Arena& arena, const BatchView& batch, DType arithmetic)
      : ops_(ops), arena_(arena), batch_(batch), arithmetic_(arithmetic) {}

  // What is made until the scope ends is freed with it.
  [[nodiscard]] Arena::Scope scope() { return Arena::Scope(arena_); }
  [[nodiscard]] Ops& ops() { return ops_; }
  [[nodiscard]] const BatchView& batch() const { return batch_; }

  Tensor embedding(const Weight& table);  // -> [tokens, hidden]
  Tensor rms_norm(Tensor x, Tensor weight, float eps);
  Tensor norm_linear(Tensor x, Tensor norm, float eps, const Weight& w);  // linear(rms_norm(x))
  void linear_add(Tensor x, const Weight& w, Tensor residual);            // residual += linear(x)
  // [m, w.cols] -> [m, w.rows / 2]: silu_mul(linear(rms_norm(x))), w being gate, then up
  Tensor norm_gated_linear(Tensor x, Tensor norm, float eps, const Weight& w);
  Tensor linear_to_f32(Tensor x, const Weight& w);  // [m, w.cols] -> [m, w.rows], unrounded: logits
  Tensor rope_table(const Rope& rope);              // -> [tokens, head_dim] F32, for QkNormRope
  HeadsView split_heads(Tensor qkv, int heads, int kv_heads, int head_dim) const;
  // Rotates queries and keys, after their norms when there are any, stores this step's keys and values, then
  // attends. -> [tokens, heads * head_dim]
  Tensor attention(const HeadsView& heads, const QkNormRope& qk, const AttentionParams& params);
  Tensor logits_rows(Tensor x);  // -> [num_logits, cols]; empty when no row is wanted

 private:
  Ops& ops_;
  Arena& arena_;
  const BatchView& batch_;
  DType arithmetic_;
};

}  // namespace pegainfer

#include "model/forward.h"

#include "base/check.h"

namespace pegainfer {

Tensor Forward::embedding(const Weight& table) {
  Tensor out = arena_.make(arithmetic_, batch_.num_tokens, table.cols());
  ops_.embedding(table, batch_.token_ids, out);
  return out;
}

Tensor Forward::rms_norm(Tensor x, Tensor weight, float eps) {
  Tensor out = arena_.make(arithmetic_, x.rows, x.cols);
  ops_.rms_norm(x, weight, eps, out);
  return out;
}

void Forward::add_rms_norm(Tensor x, Tensor delta, Tensor weight, float eps, Tensor out) {
  ops_.add_rms_norm(x, delta, weight, eps, out);
}

Tensor Forward::linear(Tensor x, const Weight& w) {
  Tensor out = arena_.make(arithmetic_, x.rows, w.rows());
  ops_.linear(x, w, out);
  return out;
}

Tensor Forward::linear_to_f32(Tensor x, const Weight& w) {
  Tensor out = arena_.make(DType::kF32, x.rows, w.rows());
  ops_.linear(x, w, out);
  return out;
}

Tensor Forward::rope_table(const Rope& rope) {
  Tensor out = arena_.make(DType::kF32, batch_.num_tokens, 2 * rope.inv_freq.cols);
  ops_.rope_table(batch_.positions, rope.inv_freq, rope.factor, arithmetic_, out);
  return out;
}

HeadsView Forward::split_heads(Tensor qkv, int heads, int kv_heads, int head_dim) const {
  const int64_t q = static_cast<int64_t>(heads) * head_dim;
  const int64_t kv = static_cast<int64_t>(kv_heads) * head_dim;
  CHECK(qkv.cols == q + 2 * kv, "{} columns for {} query and {} key heads of {}", qkv.cols, heads, kv_heads,
        head_dim);
  return {qkv.slice_cols(0, q), qkv.slice_cols(q, kv), qkv.slice_cols(q + kv, kv)};
}

void Forward::qk_norm_rope(const HeadsView& heads, int head_dim, Tensor q_norm, Tensor k_norm, float eps,
                           Tensor rope_table) {
  ops_.qk_norm_rope(heads.q, heads.k, head_dim, q_norm, k_norm, eps, rope_table);
}

Tensor Forward::attention(const HeadsView& heads, const AttentionParams& params) {
  ops_.store_kv(heads.k, heads.v, params.layer, batch_);
  Tensor out = arena_.make(arithmetic_, heads.q.rows, heads.q.cols);
  ops_.paged_attention(heads.q, params, batch_, out);
  return out;
}

Tensor Forward::silu_mul(Tensor gate_up) {
  Tensor out = arena_.make(arithmetic_, gate_up.rows, gate_up.cols / 2);
  ops_.silu_mul(gate_up, out);
  return out;
}

Tensor Forward::logits_rows(Tensor x) {
  if (batch_.logits_rows.rows == 0) return {};
  Tensor out = arena_.make(arithmetic_, batch_.logits_rows.rows, x.cols);
  ops_.gather_rows(x, batch_.logits_rows, out);
  return out;
}

}  // namespace pegainfer

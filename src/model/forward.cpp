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

Tensor Forward::norm_linear(Tensor x, Tensor norm, float eps, const Weight& w) {
  Tensor out = arena_.make(arithmetic_, x.rows, w.rows());
  const auto between = scope();
  ops_.norm_linear(x, norm, eps, w, arena_.make(arithmetic_, x.rows, w.cols()), out);
  return out;
}

void Forward::linear_add(Tensor x, const Weight& w, Tensor residual) {
  const auto between = scope();
  ops_.linear_add(x, w, arena_.make(arithmetic_, x.rows, w.rows()), residual);
}

Tensor Forward::norm_gated_linear(Tensor x, Tensor norm, float eps, const Weight& w) {
  Tensor out = arena_.make(arithmetic_, x.rows, w.rows() / 2);
  const auto between = scope();
  Tensor h = arena_.make(arithmetic_, x.rows, w.cols());
  ops_.norm_gated_linear(x, norm, eps, w, h, arena_.make(arithmetic_, x.rows, w.rows()), out);
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

Tensor Forward::attention(const HeadsView& heads, const QkNormRope& qk, const AttentionParams& params) {
  Tensor out = arena_.make(arithmetic_, heads.q.rows, heads.q.cols);
  ops_.attention(heads.q, heads.k, heads.v, qk, params, batch_, out);
  return out;
}

Tensor Forward::logits_rows(Tensor x) {
  if (batch_.logits_rows.rows == 0) return {};
  Tensor out = arena_.make(arithmetic_, batch_.logits_rows.rows, x.cols);
  ops_.gather_rows(x, batch_.logits_rows, out);
  return out;
}

}  // namespace pegainfer

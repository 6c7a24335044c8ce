#include "backend/ops.h"

namespace pegainfer {

void Ops::norm_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor out) {
  rms_norm(x, norm, eps, h);
  linear(h, w, out);
}

void Ops::linear_add(Tensor x, const Weight& w, Tensor delta, Tensor residual_inout) {
  linear(x, w, delta);
  add(residual_inout, delta);
}

void Ops::norm_gated_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor gate_up,
                            Tensor out) {
  norm_linear(x, norm, eps, w, h, gate_up);
  silu_mul(gate_up, out);
}

void Ops::qk_norm_rope_store(Tensor q_inout, Tensor k_inout, Tensor v, const QkNormRope& params, int layer,
                             const BatchView& batch) {
  qk_norm_rope(q_inout, k_inout, batch.kv.head_dim, params.q_norm, params.k_norm, params.eps, params.table);
  store_kv(k_inout, v, layer, batch);
}

void Ops::attention(Tensor q, Tensor k, Tensor v, const QkNormRope& rope, const AttentionParams& params,
                    const BatchView& batch, Tensor out) {
  qk_norm_rope_store(q, k, v, rope, params.layer, batch);
  paged_attention(q, params, batch, out);
}

}  // namespace pegainfer

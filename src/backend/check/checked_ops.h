// CheckedOps: every call's contract (ops.h) is checked before the op runs: shapes, dtypes, strides, overlap,
// and that indices stay inside what they index. A violation aborts and prints the op and the values.
//
// It reads index tensors on the host, so it is for backends whose memory the host can read.
#pragma once

#include "backend/ops.h"

namespace pegainfer {

class CheckedOps final : public Ops {
 public:
  explicit CheckedOps(Ops& inner) : inner_(inner) {}

  void take_tokens(Tensor tokens, Tensor rows, Tensor token_ids_inout) override;
  void embedding(const Weight& table, Tensor token_ids, Tensor out) override;
  void rms_norm(Tensor x, Tensor weight, float eps, Tensor out) override;
  void add(Tensor x_inout, Tensor delta) override;
  void linear(Tensor x, const Weight& w, Tensor out) override;
  void rope_table(Tensor positions, Tensor inv_freq, float factor, DType round_to, Tensor out) override;
  void qk_norm_rope(Tensor q_inout, Tensor k_inout, int head_dim, Tensor q_norm, Tensor k_norm, float eps,
                    Tensor table) override;
  void store_kv(Tensor k, Tensor v, int layer, const BatchView& batch) override;
  void paged_attention(Tensor q, const AttentionParams& params, const BatchView& batch, Tensor out) override;
  void silu_mul(Tensor gate_up, Tensor out) override;
  void gather_rows(Tensor x, Tensor indices, Tensor out) override;
  void add_logits(Tensor logits_inout, const LogitEditsView& edits) override;
  void mask_logits(Tensor logits_inout, const MaskView& masks) override;
  void apply_penalties(Tensor logits_inout, const PenaltyView& params) override;
  void sample(Tensor logits, const SamplerView& params, Tensor out_tokens) override;
  void logprobs(Tensor logits, Tensor targets, int top_n, Tensor out_logprobs, Tensor out_top_ids,
                Tensor out_top_logprobs) override;
  void begin_step(const BatchView& batch) override { inner_.begin_step(batch); }
  // The fused groups are left to the composition, whose every op comes by here.

 private:
  Ops& inner_;
};

}  // namespace pegainfer

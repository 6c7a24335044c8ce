// CpuOps: the ops as kernels spread over the pool. A task's rows, heads or columns are its own, so no result
// depends on how tasks fall to threads.
#pragma once

#include "backend/cpu/thread_pool.h"
#include "backend/cpu/workspace.h"
#include "backend/ops.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/logprobs.h"
#include "kernels/cpu/norm.h"
#include "kernels/cpu/rope.h"
#include "kernels/cpu/sampling.h"

namespace pegainfer {

class CpuOps final : public Ops {
 public:
  CpuOps(cpu::Isa isa, ThreadPool& pool, Workspace& workspace);

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

 private:
  // Calls body(row_begin, row_end) over [0, rows): on this thread when the work (rows * cost, in elements
  // touched) is small, else on the pool.
  template <class Body>
  void for_rows(int64_t rows, int64_t cost, Body body);
  void linear_part(Tensor x, const WeightPart& part, const float* bias, Tensor out,
                   const cpu::LinearPreparation& preparation, std::byte* prepared, bool prepare);

  ThreadPool& pool_;
  Workspace& workspace_;
  const cpu::NormKernels& norm_;
  const cpu::RopeKernels& rope_;
  const cpu::ElementwiseKernels& elementwise_;
  const cpu::AttentionKernels& attention_;
  const cpu::LinearKernels& linear_;
  const cpu::SamplingKernels& sampling_;
  const cpu::LogprobsKernels& logprobs_;
};

}  // namespace pegainfer

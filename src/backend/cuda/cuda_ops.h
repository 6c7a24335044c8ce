// CudaOps: the ops as kernels on the context's stream. Each group of ops has a file of its own.
#pragma once

#include <memory>
#include <span>

#include "backend/cuda/cuda_context.h"
#include "backend/cuda_layout.h"
#include "backend/ops.h"

namespace pegainfer {

namespace cuda {
struct StreamDevice;
struct PagedAttention;
struct QkNormRopeParams;
}  // namespace cuda
class CublasLinear;  // products that cuBLASLt computes: handle, workspace, algorithms pinned per shape

class CudaOps final : public Ops {
 public:
  static Result<std::unique_ptr<CudaOps>> create(CudaContext& context);
  ~CudaOps() override;

  // Sizes the scratch of all groups.
  Status reserve(const StepLimits& limits);

  // Backend::begin_warm_up(), end_warm_up().
  void begin_warm_up();
  Status end_warm_up();

  // cuda_ops_rows.cpp
  void take_tokens(Tensor tokens, Tensor rows, Tensor token_ids_inout) override;
  void embedding(const Weight& table, Tensor token_ids, Tensor out) override;
  void rms_norm(Tensor x, Tensor weight, float eps, Tensor out) override;
  void add(Tensor x_inout, Tensor delta) override;
  void rope_table(Tensor positions, Tensor inv_freq, float factor, DType round_to, Tensor out) override;
  void qk_norm_rope(Tensor q_inout, Tensor k_inout, int head_dim, Tensor q_norm, Tensor k_norm, float eps,
                    Tensor table) override;
  void store_kv(Tensor k, Tensor v, int layer, const BatchView& batch) override;
  void qk_norm_rope_store(Tensor q_inout, Tensor k_inout, Tensor v, const QkNormRope& params, int layer,
                          const BatchView& batch) override;
  void silu_mul(Tensor gate_up, Tensor out) override;
  void gather_rows(Tensor x, Tensor indices, Tensor out) override;

  // cuda_ops_linear.cpp
  void linear(Tensor x, const Weight& w, Tensor out) override;
  void norm_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor out) override;
  void linear_add(Tensor x, const Weight& w, Tensor delta, Tensor residual_inout) override;
  void norm_gated_linear(Tensor x, Tensor norm, float eps, const Weight& w, Tensor h, Tensor gate_up,
                         Tensor out) override;

  // cuda_ops_attention.cpp
  void begin_step(const BatchView& batch) override;
  void paged_attention(Tensor q, const AttentionParams& params, const BatchView& batch, Tensor out) override;
  void attention(Tensor q, Tensor k, Tensor v, const QkNormRope& rope, const AttentionParams& params,
                 const BatchView& batch, Tensor out) override;

  // cuda_ops_sampling.cpp
  void add_logits(Tensor logits_inout, const LogitEditsView& edits) override;
  void mask_logits(Tensor logits_inout, const MaskView& masks) override;
  void apply_penalties(Tensor logits_inout, const PenaltyView& params) override;
  void sample(Tensor logits, const SamplerView& params, Tensor out_tokens) override;
  void logprobs(Tensor logits, Tensor targets, int top_n, Tensor out_logprobs, Tensor out_top_ids,
                Tensor out_top_logprobs) override;

 private:
  explicit CudaOps(CudaContext& context);

  // cuda_ops_attention.cpp: with `heads`, these are made on the way.
  void attend(const cuda::PagedAttention& p, const cuda::QkNormRopeParams* heads, const BatchView& batch);

  // cuda_ops_linear.cpp
  [[nodiscard]] cuda::StreamDevice stream_device() const;
  cudaError_t multiply_many(const Tensor& x, const WeightPart& part, const float* bias, const Tensor& out,
                            bool accumulate);
  void normalise_few(const Tensor& x, const Tensor& norm, float eps, const Tensor& h);

  CudaContext& context_;
  CudaScratch attention_scratch_;
  CudaScratch linear_scratch_;
  CudaScratch sampling_scratch_;
  std::unique_ptr<CublasLinear> cublas_;
};

}  // namespace pegainfer

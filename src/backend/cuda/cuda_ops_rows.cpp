// The ops that work row by row: tensors into parameters of kernels.
#include "backend/cuda/cuda_ops.h"
#include "backend/cuda/cuda_params.h"
#include "base/check.h"
#include "kernels/cuda/elementwise/elementwise.h"
#include "kernels/cuda/embedding/embedding.h"
#include "kernels/cuda/kv/store_kv.h"
#include "kernels/cuda/norm/rms_norm.h"
#include "kernels/cuda/rope/rope.h"

namespace pegainfer {
void CudaOps::take_tokens(Tensor tokens, Tensor rows, Tensor token_ids_inout) {
  const cuda::TakeTokensParams p{.count = rows.rows,
                                 .tokens = ints_of(tokens),
                                 .tokens_stride = tokens.row_stride,
                                 .rows = ints_of(rows),
                                 .rows_stride = rows.row_stride,
                                 .ids = static_cast<int32_t*>(token_ids_inout.data),
                                 .ids_stride = token_ids_inout.row_stride};
  context_.note("take_tokens", cuda::take_tokens(p, context_.stream()));
}

void CudaOps::embedding(const Weight& table, Tensor token_ids, Tensor out) {
  cuda::EmbeddingParams p{.num_parts = table.num_parts,
                          .tokens = out.rows,
                          .cols = out.cols,
                          .ids = ints_of(token_ids),
                          .ids_stride = token_ids.row_stride,
                          .out = out.data,
                          .out_dtype = out.dtype,
                          .out_stride = out.row_stride};
  for (int i = 0; i < table.num_parts; ++i) {
    const WeightPart& part = table.parts.at(static_cast<size_t>(i));
    p.parts[i] = {.data = part.data, .rows = part.rows, .dtype = cuda_weight_dtype(part.format)};
  }
  context_.note("embedding", cuda::embedding(p, context_.stream()));
}

void CudaOps::rms_norm(Tensor x, Tensor weight, float eps, Tensor out) {
  const cuda::RmsNormParams p{.dtype = x.dtype,
                              .rows = x.rows,
                              .cols = x.cols,
                              .x = x.data,
                              .x_stride = x.row_stride,
                              .weight = floats_of(weight),
                              .eps = eps,
                              .out = out.data,
                              .out_stride = out.row_stride,
                              .num_sms = context_.device().num_sms};
  context_.note("rms_norm", cuda::rms_norm(p, context_.stream()));
}

void CudaOps::add(Tensor x_inout, Tensor delta) {
  const cuda::AddParams p{.dtype = x_inout.dtype,
                          .rows = x_inout.rows,
                          .cols = x_inout.cols,
                          .x = x_inout.data,
                          .x_stride = x_inout.row_stride,
                          .delta = delta.data,
                          .delta_stride = delta.row_stride};
  context_.note("add", cuda::add(p, context_.stream()));
}

void CudaOps::rope_table(Tensor positions, Tensor inv_freq, float factor, DType round_to, Tensor out) {
  const cuda::RopeTableParams p{.tokens = out.rows,
                                .half = out.cols / 2,
                                .positions = ints_of(positions),
                                .positions_stride = positions.row_stride,
                                .inv_freq = floats_of(inv_freq),
                                .factor = factor,
                                .round_to_bf16 = round_to == DType::kBF16,
                                .out = static_cast<float*>(out.data),
                                .out_stride = out.row_stride};
  context_.note("rope_table", cuda::rope_table(p, context_.stream()));
}

void CudaOps::qk_norm_rope(Tensor q_inout, Tensor k_inout, int head_dim, Tensor q_norm, Tensor k_norm,
                           float eps, Tensor table) {
  const QkNormRope rope{.q_norm = q_norm, .k_norm = k_norm, .eps = eps, .table = table};
  const cuda::QkNormRopeParams p = rope_params(q_inout, k_inout, head_dim, rope);
  context_.note("qk_norm_rope", cuda::qk_norm_rope(p, context_.stream()));
}

void CudaOps::store_kv(Tensor k, Tensor v, int layer, const BatchView& batch) {
  const cuda::StoreKvParams p{.dtype = k.dtype,
                              .tokens = k.rows,
                              .k = k.data,
                              .k_stride = k.row_stride,
                              .v = v.data,
                              .v_stride = v.row_stride,
                              .kv = layer_of(batch, layer)};
  context_.note("store_kv", cuda::store_kv(p, context_.stream()));
}

void CudaOps::qk_norm_rope_store(Tensor q_inout, Tensor k_inout, Tensor v, const QkNormRope& params,
                                 int layer, const BatchView& batch) {
  const cuda::QkNormRopeParams p = rope_store_params(q_inout, k_inout, v, params, layer, batch);
  context_.note("qk_norm_rope_store", cuda::qk_norm_rope(p, context_.stream()));
}

void CudaOps::silu_mul(Tensor gate_up, Tensor out) {
  const cuda::SiluMulParams p{.dtype = out.dtype,
                              .rows = out.rows,
                              .cols = out.cols,
                              .gate_up = gate_up.data,
                              .gate_up_stride = gate_up.row_stride,
                              .out = out.data,
                              .out_stride = out.row_stride};
  context_.note("silu_mul", cuda::silu_mul(p, context_.stream()));
}

void CudaOps::gather_rows(Tensor x, Tensor indices, Tensor out) {
  const cuda::GatherRowsParams p{.dtype = out.dtype,
                                 .rows = out.rows,
                                 .cols = out.cols,
                                 .x = x.data,
                                 .x_stride = x.row_stride,
                                 .indices = ints_of(indices),
                                 .indices_stride = indices.row_stride,
                                 .out = out.data,
                                 .out_stride = out.row_stride};
  context_.note("gather_rows", cuda::gather_rows(p, context_.stream()));
}

}  // namespace pegainfer

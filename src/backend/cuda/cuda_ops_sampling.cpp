// Sampling and log-probabilities: tensors into parameters of kernels.
#include <initializer_list>

#include "backend/cuda/cuda_ops.h"
#include "base/check.h"
#include "kernels/cuda/sampling/logprobs.h"
#include "kernels/cuda/sampling/penalties.h"
#include "kernels/cuda/sampling/sample.h"

namespace pegainfer {
namespace {

template <class T>
cuda::SampleParams::Column<T> column(const Tensor& t) {
  return {static_cast<const T*>(t.data), t.row_stride};
}

void check_contiguous(std::initializer_list<Tensor> tensors) {
  for (const Tensor& t : tensors)
    CHECK(t.rows <= 1 || t.row_stride == 1, "a row's entries lie {} apart", t.row_stride);
}

}  // namespace

void CudaOps::add_logits(Tensor logits_inout, const LogitEditsView& edits) {
  check_contiguous({edits.begin, edits.ids, edits.adds});
  const cuda::LogitEditParams p{.rows = logits_inout.rows,
                                .vocab = logits_inout.cols,
                                .logits = static_cast<float*>(logits_inout.data),
                                .logits_stride = logits_inout.row_stride,
                                .begin = static_cast<const int32_t*>(edits.begin.data),
                                .ids = static_cast<const int32_t*>(edits.ids.data),
                                .adds = static_cast<const float*>(edits.adds.data)};
  context_.note("add_logits", cuda::add_logits(p, context_.stream()));
}

void CudaOps::mask_logits(Tensor logits_inout, const MaskView& masks) {
  check_contiguous({masks.index});
  const cuda::MaskParams p{.rows = logits_inout.rows,
                           .vocab = logits_inout.cols,
                           .logits = static_cast<float*>(logits_inout.data),
                           .logits_stride = logits_inout.row_stride,
                           .index = static_cast<const int32_t*>(masks.index.data),
                           .words = static_cast<const uint32_t*>(masks.words.data),
                           .words_stride = masks.words.row_stride};
  context_.note("mask_logits", cuda::mask_logits(p, context_.stream()));
}

void CudaOps::apply_penalties(Tensor logits_inout, const PenaltyView& params) {
  check_contiguous(
      {params.begin, params.ids, params.counts, params.repetition, params.presence, params.frequency});
  const cuda::PenaltyParams p{.rows = logits_inout.rows,
                              .vocab = logits_inout.cols,
                              .logits = static_cast<float*>(logits_inout.data),
                              .logits_stride = logits_inout.row_stride,
                              .begin = static_cast<const int32_t*>(params.begin.data),
                              .ids = static_cast<const int32_t*>(params.ids.data),
                              .counts = static_cast<const int32_t*>(params.counts.data),
                              .repetition = static_cast<const float*>(params.repetition.data),
                              .presence = static_cast<const float*>(params.presence.data),
                              .frequency = static_cast<const float*>(params.frequency.data)};
  context_.note("apply_penalties", cuda::apply_penalties(p, context_.stream()));
}

void CudaOps::sample(Tensor logits, const SamplerView& params, Tensor out_tokens) {
  const cuda::SampleParams p{.rows = logits.rows,
                             .vocab = logits.cols,
                             .logits = static_cast<const float*>(logits.data),
                             .logits_stride = logits.row_stride,
                             .temperature = column<float>(params.temperature),
                             .top_k = column<int32_t>(params.top_k),
                             .top_p = column<float>(params.top_p),
                             .min_p = column<float>(params.min_p),
                             .seed = column<int64_t>(params.seed),
                             .position = column<int64_t>(params.position),
                             .out = static_cast<int32_t*>(out_tokens.data),
                             .out_stride = out_tokens.row_stride,
                             .num_sms = context_.device().num_sms,
                             .shared_bytes = context_.device().shared_bytes_per_block};
  context_.note("sample", cuda::sample(p, context_.stream()));
}

void CudaOps::logprobs(Tensor logits, Tensor targets, int top_n, Tensor out_logprobs, Tensor out_top_ids,
                       Tensor out_top_logprobs) {
  const cuda::LogprobsParams p{.rows = logits.rows,
                               .vocab = logits.cols,
                               .logits = static_cast<const float*>(logits.data),
                               .logits_stride = logits.row_stride,
                               .targets = static_cast<const int32_t*>(targets.data),
                               .targets_stride = targets.row_stride,
                               .out = static_cast<float*>(out_logprobs.data),
                               .out_stride = out_logprobs.row_stride,
                               .top_n = top_n,
                               .top_ids = static_cast<int32_t*>(out_top_ids.data),
                               .top_ids_stride = out_top_ids.row_stride,
                               .top_logprobs = static_cast<float*>(out_top_logprobs.data),
                               .top_logprobs_stride = out_top_logprobs.row_stride,
                               .num_sms = context_.device().num_sms,
                               .shared_bytes = context_.device().shared_bytes_per_block};
  context_.note("logprobs", cuda::logprobs(p, context_.stream()));
}

}  // namespace pegainfer

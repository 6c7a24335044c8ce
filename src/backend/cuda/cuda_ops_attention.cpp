#include "backend/cuda/cuda_ops.h"
#include "backend/cuda/cuda_params.h"
#include "base/check.h"
#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/attention/decode.h"
#include "kernels/cuda/attention/splits.h"

namespace pegainfer {
namespace {

using cuda::AttentionScratch;

cuda::AttentionDevice attention_device(const CudaDevice& d) {
  return {.num_sms = d.num_sms, .major = d.major, .shared_bytes_per_block = d.shared_bytes_per_block};
}

void check_heads(const AttentionParams& params, const BatchView& batch) {
  CHECK(params.num_heads % params.num_kv_heads == 0, "{} heads over {} KV heads", params.num_heads,
        params.num_kv_heads);
  CHECK(params.head_dim == batch.kv.head_dim && params.num_kv_heads == batch.kv.num_kv_heads,
        "heads of {} x {}, a cache of {} x {}", params.num_kv_heads, params.head_dim, batch.kv.num_kv_heads,
        batch.kv.head_dim);
}

cuda::PagedAttention paged(Tensor q, const AttentionParams& params, const BatchView& batch, Tensor out) {
  return {.q = q.data,
          .out = out.data,
          .q_stride = q.row_stride,
          .out_stride = out.row_stride,
          .dtype = q.dtype,
          .query_start = ints_of(batch.query_start),
          .context_len = ints_of(batch.context_len),
          .block_table = ints_of(batch.block_table),
          .table_stride = batch.block_table.row_stride,
          .kv = batch.kv.block(params.layer, 0),
          .kv_dtype = batch.kv.dtype,
          .num_blocks = batch.kv.num_blocks,
          .block_size = batch.kv.block_size,
          .num_seqs = batch.num_seqs,
          .num_tokens = batch.num_tokens,
          .num_heads = params.num_heads,
          .num_kv_heads = params.num_kv_heads,
          .head_dim = params.head_dim,
          .window = params.window,
          .scale = params.scale};
}

cuda::DecodePlan decode_plan(const BatchView& batch, int num_sms, int window, std::byte* scratch) {
  const AttentionScratch at = AttentionScratch::of(batch.num_seqs, 0, 0);
  int* headers = reinterpret_cast<int*>(scratch + AttentionScratch::kHeaders);
  return {.query_start = ints_of(batch.query_start),
          .context_len = ints_of(batch.context_len),
          .rule = {.num_seqs = batch.num_seqs,
                   .num_kv_heads = batch.kv.num_kv_heads,
                   .num_sms = num_sms,
                   .window = window,
                   .ctas_per_sm = cuda::ctas_per_sm(batch.kv.head_dim, batch.num_seqs)},
          .chunks = reinterpret_cast<cuda::DecodeChunk*>(
              scratch + (window > 0 ? at.window_chunks : AttentionScratch::kChunks)),
          .num_chunks = headers + (window > 0 ? 1 : 0)};
}

// Whether decode may make its heads itself (has_decode_with_heads() has the rest), for which begin_step()
// settles.
bool may_fuse_heads(const BatchView& batch) { return batch.num_seqs > 1 && batch.max_query_len == 1; }

}  // namespace

void CudaOps::begin_step(const BatchView& batch) {
  if (batch.num_seqs == 0 || batch.kv.dtype != DType::kBF16 || !cuda::has_tensor_head_dim(batch.kv.head_dim))
    return;
  std::byte* scratch = attention_scratch_.get(AttentionScratch::of(batch.num_seqs, 0, 0).bytes);
  context_.note("begin_step", cuda::plan_decode(decode_plan(batch, context_.device().num_sms, 0, scratch),
                                                context_.stream()));
  if (may_fuse_heads(batch)) context_.note("begin_step", cuda::settle(context_.stream()));
}

void CudaOps::paged_attention(Tensor q, const AttentionParams& params, const BatchView& batch, Tensor out) {
  check_heads(params, batch);
  if (batch.num_tokens == 0 || batch.num_seqs == 0) return;
  const cuda::PagedAttention p = paged(q, params, batch, out);
  if (!has_tensor_path(p)) {
    context_.note("paged_attention", cuda::plain_attention(p, context_.stream()));
    return;
  }
  attend(p, nullptr, batch);
}

void CudaOps::attention(Tensor q, Tensor k, Tensor v, const QkNormRope& rope, const AttentionParams& params,
                        const BatchView& batch, Tensor out) {
  check_heads(params, batch);
  const cuda::PagedAttention p = paged(q, params, batch, out);
  const cuda::QkNormRopeParams heads = rope_store_params(q, k, v, rope, params.layer, batch);
  if (may_fuse_heads(batch) && has_decode_with_heads(p, heads, attention_device(context_.device()))) {
    attend(p, &heads, batch);
  } else {
    Ops::attention(q, k, v, rope, params, batch, out);
  }
}

void CudaOps::attend(const cuda::PagedAttention& p, const cuda::QkNormRopeParams* heads,
                     const BatchView& batch) {
  const cuda::AttentionDevice device = attention_device(context_.device());
  const AttentionScratch at = AttentionScratch::of(batch.num_seqs, p.num_heads, p.head_dim);
  const bool grows = attention_scratch_.size() < at.bytes;  // not once it is reserved
  std::byte* scratch = attention_scratch_.get(at.bytes);
  const auto arrivals = static_cast<size_t>(batch.num_seqs) * static_cast<size_t>(p.num_kv_heads) *
                        static_cast<size_t>(cuda::head_parts(p.group()));
  CHECK(arrivals <= AttentionScratch::kNumCounters, "{} sequences x heads", arrivals);

  if (batch.num_seqs > 1 || batch.max_query_len == 1) {
    const cuda::DecodePlan plan = decode_plan(batch, device.num_sms, p.window, scratch);
    // begin_step() knows no window; and a scratch that grew has forgotten its list.
    const bool makes_list = p.window > 0 || grows;
    if (makes_list) context_.note("paged_attention", cuda::plan_decode(plan, context_.stream()));
    const cuda::DecodeWork work{
        .chunks = plan.chunks,
        .num_chunks = plan.num_chunks,
        .partials = reinterpret_cast<float*>(scratch + at.partials),
        .counters = reinterpret_cast<unsigned*>(scratch + AttentionScratch::kCounters),
        .taken = reinterpret_cast<unsigned*>(scratch + AttentionScratch::kTaken),
        .settled = !makes_list && may_fuse_heads(batch)};
    context_.note("paged_attention", cuda::decode_attention(p, heads, work, device, context_.stream()));
  }
  if (batch.max_query_len > 1) {
    auto* counters = reinterpret_cast<unsigned*>(scratch + AttentionScratch::kPrefillCounters);
    context_.note("paged_attention", cuda::prefill_attention(p, device, counters, context_.stream()));
  }
}

}  // namespace pegainfer

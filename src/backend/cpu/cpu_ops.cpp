#include "backend/cpu/cpu_ops.h"

#include <algorithm>

#include "backend/cpu/attention_plan.h"
#include "base/philox.h"
#include "kernels/cpu/embedding.h"
#include "kernels/cpu/kv_store.h"
#include "kernels/cpu/penalties.h"

namespace pegainfer {
namespace {

// Elements that one thread handles in about the time another needs to join in.
constexpr int64_t kElementsPerTask = 16 * 1024;
// Multiply-adds of attention, likewise.
constexpr int64_t kAttentionWorkPerTask = 64 * 1024;

const float* floats_of(const Tensor& t) { return static_cast<const float*>(t.data); }

cpu::KvLayer layer_of(const KvCacheView& kv, int layer) {
  return {.data = kv.block(layer, 0),
          .bytes_per_block = kv.bytes_per_block(),
          .dtype = kv.dtype,
          .block_size = kv.block_size,
          .num_kv_heads = kv.num_kv_heads,
          .head_dim = kv.head_dim};
}

}  // namespace

CpuOps::CpuOps(cpu::Isa isa, ThreadPool& pool, Workspace& workspace)
    : pool_(pool),
      workspace_(workspace),
      norm_(cpu::norm_kernels(isa)),
      rope_(cpu::rope_kernels(isa)),
      elementwise_(cpu::elementwise_kernels(isa)),
      attention_(cpu::attention_kernels(isa)),
      linear_(cpu::linear_kernels(isa)),
      sampling_(cpu::sampling_kernels(isa)),
      logprobs_(cpu::logprobs_kernels(isa)) {}

template <class Body>
void CpuOps::for_rows(int64_t rows, int64_t cost, Body body) {
  if (rows * cost <= kElementsPerTask) {
    body(int64_t{0}, rows);
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kElementsPerTask / std::max<int64_t>(cost, 1));
  pool_.parallel_ranges(rows, grain, [&](int64_t begin, int64_t end, int /*worker*/) { body(begin, end); });
}

void CpuOps::take_tokens(Tensor tokens, Tensor rows, Tensor token_ids_inout) {
  for (int64_t t = 0; t < rows.rows; ++t) {
    const int32_t row = *rows.row<int32_t>(t);
    if (row >= 0) *token_ids_inout.row<int32_t>(t) = std::max(*tokens.row<int32_t>(row), 0);
  }
}

void CpuOps::embedding(const Weight& table, Tensor token_ids, Tensor out) {
  for_rows(out.rows, 8 * out.cols, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      int64_t id = *token_ids.row<int32_t>(r);
      int part = 0;
      while (id >= table.parts.at(static_cast<size_t>(part)).rows) {
        id -= table.parts.at(static_cast<size_t>(part)).rows;
        ++part;
      }
      const WeightPart& p = table.parts.at(static_cast<size_t>(part));
      const bool bf16 = out.dtype == DType::kBF16;
      void* row = bf16 ? static_cast<void*>(out.row<uint16_t>(r)) : out.row<float>(r);
      cpu::embedding_row(p.format, p.rows, p.cols, p.data, id, row, bf16);
    }
  });
}

void CpuOps::rms_norm(Tensor x, Tensor weight, float eps, Tensor out) {
  for_rows(x.rows, x.cols,
           [&](int64_t begin, int64_t end) { norm_.rms_norm(x, floats_of(weight), eps, out, begin, end); });
}

void CpuOps::add(Tensor x_inout, Tensor delta) {
  for_rows(x_inout.rows, x_inout.cols,
           [&](int64_t begin, int64_t end) { norm_.add(x_inout, delta, begin, end); });
}

void CpuOps::linear_part(Tensor x, const WeightPart& part, const float* bias, Tensor out,
                         const cpu::LinearPreparation& preparation, std::byte* prepared, bool prepare) {
  const cpu::LinearArgs args{.x = x.data,
                             .x_bf16 = x.dtype == DType::kBF16,
                             .m = x.rows,
                             .x_stride = x.row_stride,
                             .format = part.format,
                             .packed = part.data,
                             .n = part.rows,
                             .k = part.cols,
                             .bias = bias,
                             .out = out.data,
                             .out_bf16 = out.dtype == DType::kBF16,
                             .out_stride = out.row_stride,
                             .prepared = prepared};
  if (prepare) {
    for_rows(args.m, args.k,
             [&](int64_t begin, int64_t end) { linear_.prepare(preparation, args, begin, end); });
  }
  std::byte* scratch = workspace_.linear.get(static_cast<size_t>(pool_.threads()) * cpu::kLinearScratchBytes);
  pool_.parallel_ranges(cpu::linear_num_tasks(args), 1, [&](int64_t begin, int64_t end, int worker) {
    linear_.run(args, begin, end, scratch + static_cast<size_t>(worker) * cpu::kLinearScratchBytes);
  });
}

void CpuOps::linear(Tensor x, const Weight& w, Tensor out) {
  if (x.rows == 0) return;
  cpu::LinearPreparation done;
  int64_t column = 0;
  for (int i = 0; i < w.num_parts; ++i) {
    const WeightPart& part = w.parts.at(static_cast<size_t>(i));
    const cpu::LinearPreparation preparation =
        linear_.preparation(part.format, x.dtype == DType::kBF16, part.cols);
    const size_t bytes = cpu::linear_prepared_bytes(preparation, x.rows, part.cols);
    std::byte* prepared = workspace_.prepared.get(bytes);
    const bool prepare = bytes > 0 && !(i > 0 && preparation == done);  // parts share the input
    linear_part(x, part, w.bias ? floats_of(w.bias) + column : nullptr, out.slice_cols(column, part.rows),
                preparation, prepared, prepare);
    done = preparation;
    column += part.rows;
  }
}

void CpuOps::rope_table(Tensor positions, Tensor inv_freq, float factor, DType round_to, Tensor out) {
  for_rows(out.rows, 32 * out.cols, [&](int64_t begin, int64_t end) {
    cpu::rope_table(positions, floats_of(inv_freq), factor, round_to, out, begin, end);
  });
}

void CpuOps::qk_norm_rope(Tensor q_inout, Tensor k_inout, int head_dim, Tensor q_norm, Tensor k_norm,
                          float eps, Tensor table) {
  const cpu::QkNormRopeArgs args{.q = q_inout,
                                 .k = k_inout,
                                 .head_dim = head_dim,
                                 .q_norm = floats_of(q_norm),
                                 .k_norm = floats_of(k_norm),
                                 .eps = eps,
                                 .table = table};
  for_rows(q_inout.rows, q_inout.cols + k_inout.cols,
           [&](int64_t begin, int64_t end) { rope_.qk_norm_rope(args, begin, end); });
}

void CpuOps::store_kv(Tensor k, Tensor v, int layer, const BatchView& batch) {
  const cpu::KvLayer kv = layer_of(batch.kv, layer);
  const auto* slots = static_cast<const int32_t*>(batch.slot_mapping.data);
  for_rows(k.rows, 4 * k.cols,
           [&](int64_t begin, int64_t end) { cpu::store_kv(k, v, slots, kv, begin, end); });
}

void CpuOps::paged_attention(Tensor q, const AttentionParams& params, const BatchView& batch, Tensor out) {
  const size_t most =
      workspace_.partials.sealed() ? workspace_.partials.size() : Workspace::kMaxPartialsBytes;
  std::byte* memory = workspace_.sequences.get(AttentionPlan::bytes(batch.num_seqs));
  const AttentionPlan plan(params, batch, pool_.threads(), most / sizeof(float), memory);
  const cpu::AttentionCall call{.q = q,
                                .out = out,
                                .kv = layer_of(batch.kv, params.layer),
                                .scale = params.scale,
                                .window = params.window};
  auto* partials = reinterpret_cast<float*>(workspace_.partials.get(plan.num_partials() * sizeof(float)));
  const auto task = [&](int64_t i, int /*worker*/) { plan.run_task(attention_, call, i, partials); };
  if (plan.work() <= kAttentionWorkPerTask) {
    for (int64_t i = 0; i < plan.num_tasks(); ++i) task(i, 0);
  } else {
    pool_.parallel(plan.num_tasks(), task);
  }
  const auto merge = [&](int64_t i, int /*worker*/) { plan.run_merge(attention_, call, i, partials); };
  if (static_cast<int64_t>(plan.num_partials()) <= kElementsPerTask) {
    for (int64_t i = 0; i < plan.num_merges(); ++i) merge(i, 0);
  } else {
    pool_.parallel(plan.num_merges(), merge);
  }
}

void CpuOps::silu_mul(Tensor gate_up, Tensor out) {
  for_rows(out.rows, 4 * out.cols,
           [&](int64_t begin, int64_t end) { elementwise_.silu_mul(gate_up, out, begin, end); });
}

void CpuOps::gather_rows(Tensor x, Tensor indices, Tensor out) {
  for_rows(out.rows, out.cols,
           [&](int64_t begin, int64_t end) { cpu::gather_rows(x, indices, out, begin, end); });
}

void CpuOps::add_logits(Tensor logits_inout, const LogitEditsView& edits) {
  pool_.parallel(logits_inout.rows, [&](int64_t r, int /*worker*/) {
    float* logits = logits_inout.row<float>(r);
    const int32_t end = *edits.begin.row<int32_t>(r + 1);
    for (int32_t i = *edits.begin.row<int32_t>(r); i < end; ++i)
      logits[*edits.ids.row<int32_t>(i)] += *edits.adds.row<float>(i);
  });
}

void CpuOps::mask_logits(Tensor logits_inout, const MaskView& masks) {
  pool_.parallel(logits_inout.rows, [&](int64_t r, int /*worker*/) {
    const int32_t index = *masks.index.row<int32_t>(r);
    if (index >= 0)
      cpu::mask_logits(logits_inout.row<float>(r), logits_inout.cols, masks.words.row<uint32_t>(index));
  });
}

void CpuOps::apply_penalties(Tensor logits_inout, const PenaltyView& params) {
  pool_.parallel(logits_inout.rows, [&](int64_t r, int /*worker*/) {
    const cpu::PenaltyRow row{.repetition = *params.repetition.row<float>(r),
                              .presence = *params.presence.row<float>(r),
                              .frequency = *params.frequency.row<float>(r)};
    float* logits = logits_inout.row<float>(r);
    const int32_t end = *params.begin.row<int32_t>(r + 1);
    for (int32_t i = *params.begin.row<int32_t>(r); i < end; ++i) {
      float& logit = logits[*params.ids.row<int32_t>(i)];
      logit = cpu::penalized(logit, *params.counts.row<int32_t>(i), row);
    }
  });
}

void CpuOps::sample(Tensor logits, const SamplerView& params, Tensor out_tokens) {
  const size_t bytes = cpu::sampling_scratch_bytes(logits.cols);
  std::byte* scratch = workspace_.sampling.get(static_cast<size_t>(pool_.threads()) * bytes);
  pool_.parallel(logits.rows, [&](int64_t r, int worker) {
    const auto seed = static_cast<uint64_t>(*params.seed.row<int64_t>(r));
    const auto position = static_cast<uint64_t>(*params.position.row<int64_t>(r));
    const cpu::SampleRow row{.temperature = *params.temperature.row<float>(r),
                             .top_k = *params.top_k.row<int32_t>(r),
                             .top_p = *params.top_p.row<float>(r),
                             .min_p = *params.min_p.row<float>(r),
                             .uniform = philox_uniform(seed, position)};
    *out_tokens.row<int32_t>(r) = sampling_.sample(logits.row<float>(r), logits.cols, row,
                                                   scratch + static_cast<size_t>(worker) * bytes);
  });
}

void CpuOps::logprobs(Tensor logits, Tensor targets, int top_n, Tensor out_logprobs, Tensor out_top_ids,
                      Tensor out_top_logprobs) {
  pool_.parallel(logits.rows, [&](int64_t r, int /*worker*/) {
    int32_t* top_ids = top_n > 0 ? out_top_ids.row<int32_t>(r) : nullptr;
    float* top_logprobs = top_n > 0 ? out_top_logprobs.row<float>(r) : nullptr;
    *out_logprobs.row<float>(r) = logprobs_.logprobs(logits.row<float>(r), logits.cols,
                                                     *targets.row<int32_t>(r), top_n, top_ids, top_logprobs);
  });
}

}  // namespace pegainfer

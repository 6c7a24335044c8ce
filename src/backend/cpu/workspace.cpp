#include "backend/cpu/workspace.h"

#include <algorithm>

#include "backend/cpu/attention_plan.h"
#include "backend/cpu/host_buffer.h"
#include "base/check.h"
#include "kernels/cpu/attention.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/sampling.h"

namespace pegainfer {
namespace {

// The most that any format and activation type makes of x.
size_t prepared_bytes(const StepLimits& limits) {
  const cpu::LinearPreparation everything{.copy_f32 = true, .copy_padded = true, .sum_block = 16};
  return cpu::linear_prepared_bytes(everything, limits.max_tokens, limits.max_linear_cols);
}

// No more tiles than this are split at once (attention_plan.h).
size_t partials_bytes(const StepLimits& limits, int threads) {
  const size_t partitions =
      static_cast<size_t>(limits.max_context + cpu::kAttentionPartition - 1) / cpu::kAttentionPartition + 1;
  const size_t tile =
      cpu::kMaxTileRows * static_cast<size_t>(cpu::partial_stride(limits.head_dim)) * sizeof(float);
  return std::min(AttentionPlan::max_split_tiles(threads) * partitions * tile, Workspace::kMaxPartialsBytes);
}

struct Sizes {
  size_t prepared, linear, sampling, partials, sequences;
};

Sizes sizes_of(const StepLimits& limits, int threads) {
  const auto count = static_cast<size_t>(threads);
  return {.prepared = prepared_bytes(limits),
          .linear = count * cpu::kLinearScratchBytes,
          .sampling = count * cpu::sampling_scratch_bytes(limits.vocab_size),
          .partials = partials_bytes(limits, threads),
          .sequences = AttentionPlan::bytes(limits.max_seqs)};
}

}  // namespace

Status WorkspaceBuffer::reserve(size_t bytes) {
  if (bytes <= buffer_.size()) return ok_status();
  ++num_allocations_;
  ASSIGN_OR_RETURN(buffer_, allocate_host(bytes));
  return ok_status();
}

std::byte* WorkspaceBuffer::get(size_t bytes) {
  if (bytes > buffer_.size()) {
    CHECK(!sealed_, "a step needs {} bytes of {}, {} were reserved", bytes, name_, buffer_.size());
    const Status grown = reserve(bytes);
    CHECK(grown.has_value(), "{}", grown.error().message);
  }
  return buffer_.data();
}

Status Workspace::reserve(const StepLimits& limits, int threads) {
  if (limits.head_dim <= 0 || limits.head_dim > cpu::kMaxHeadDim || limits.head_dim % 2 != 0) {
    return unsupported(fmt::format("head_dim is {}; the CPU backend takes even ones from 2 to {}",
                                   limits.head_dim, cpu::kMaxHeadDim));
  }
  const Sizes sizes = sizes_of(limits, threads);
  RETURN_IF_ERROR(prepared.reserve(sizes.prepared));
  RETURN_IF_ERROR(linear.reserve(sizes.linear));
  RETURN_IF_ERROR(sampling.reserve(sizes.sampling));
  RETURN_IF_ERROR(partials.reserve(sizes.partials));
  RETURN_IF_ERROR(sequences.reserve(sizes.sequences));
  for (WorkspaceBuffer* buffer : {&prepared, &linear, &sampling, &partials, &sequences}) buffer->seal();
  return ok_status();
}

size_t Workspace::bytes(const StepLimits& limits, int threads) {
  const Sizes sizes = sizes_of(limits, threads);
  return sizes.prepared + sizes.linear + sizes.sampling + sizes.partials + sizes.sequences;
}

uint64_t Workspace::num_allocations() const {
  return prepared.num_allocations() + linear.num_allocations() + sampling.num_allocations() +
         partials.num_allocations() + sequences.num_allocations();
}

}  // namespace pegainfer

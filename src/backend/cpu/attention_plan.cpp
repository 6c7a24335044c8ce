#include "backend/cpu/attention_plan.h"

#include <algorithm>

#include "base/check.h"

namespace pegainfer {
namespace {

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Keys that a token at `position` sees.
int64_t keys_seen(int position, int window) {
  return window > 0 ? std::min(position + 1, window) : position + 1;
}

}  // namespace

AttentionPlan::AttentionPlan(const AttentionParams& params, const BatchView& batch, int threads,
                             size_t max_partials, std::byte* memory)
    : sequences_(reinterpret_cast<Sequence*>(memory), static_cast<size_t>(batch.num_seqs)),
      window_(params.window),
      head_dim_(params.head_dim),
      group_(params.num_heads / params.num_kv_heads),
      chunk_(static_cast<int>(divide_up(group_, divide_up(group_, cpu::kMaxTileRows)))),
      chunks_per_kv_(static_cast<int>(divide_up(group_, chunk_))),
      chunks_(chunks_per_kv_ * params.num_kv_heads) {
  const auto* query_start = static_cast<const int32_t*>(batch.query_start.data);
  const auto* context_len = static_cast<const int32_t*>(batch.context_len.data);
  for (int i = 0; i < batch.num_seqs; ++i) {
    Sequence& s = sequences_[static_cast<size_t>(i)];
    s = {};
    s.block_table = batch.block_table.row<int32_t>(i);
    s.row = query_start[i];
    s.tokens = query_start[i + 1] - query_start[i];
    s.position = context_len[i] - s.tokens;
    s.tile_tokens = std::clamp(cpu::kMaxTileRows / chunk_, 1, std::max(1, s.tokens));
    s.partitions = 1;
    if (s.tokens == 0) continue;
    const int64_t keys = keys_seen(s.position, window_) + keys_seen(context_len[i] - 1, window_);
    work_ += keys * s.tokens * params.num_heads * head_dim_;  // mean keys, for scores and for values
  }
  split(params, threads, max_partials);
  for (Sequence& s : sequences_) {
    num_tasks_ += tiles_of(s) * s.partitions;
    num_merges_ += s.partitions > 1 ? tiles_of(s) : 0;
    s.tasks_end = num_tasks_;
    s.merges_end = num_merges_;
  }
}

int64_t AttentionPlan::tiles_of(const Sequence& s) const {
  return divide_up(s.tokens, s.tile_tokens) * chunks_;
}

size_t AttentionPlan::tile_partials(const Sequence& s) const {
  return static_cast<size_t>(s.partitions) * static_cast<size_t>(s.tile_tokens * chunk_) *
         static_cast<size_t>(cpu::partial_stride(head_dim_));
}

void AttentionPlan::split(const AttentionParams& params, int threads, size_t max_partials) {
  if (threads <= 1) return;
  const int64_t share = work_ / (static_cast<int64_t>(threads) * kTilesPerThread);
  for (Sequence& s : sequences_) {
    if (s.tokens == 0) continue;
    const int last = s.position + s.tokens - 1;
    const int64_t tile_work =
        2 * keys_seen(last, window_) * std::min(s.tile_tokens, s.tokens) * chunk_ * params.head_dim;
    if (tile_work <= share) continue;
    int most = 1;
    for (int t = 0; t < s.tokens; t += s.tile_tokens) {
      const cpu::AttentionTile tile{.tokens = std::min(s.tile_tokens, s.tokens - t),
                                    .position = s.position + t};
      const cpu::PartitionRange range = cpu::partitions_of(tile, window_);
      most = std::max(most, range.end - range.begin);
    }
    if (most == 1) continue;
    s.partitions = most;
    const size_t needed = tile_partials(s) * static_cast<size_t>(tiles_of(s));
    if (num_partials_ + needed > max_partials) {
      s.partitions = 1;
      continue;
    }
    s.partials = num_partials_;
    num_partials_ += needed;
  }
}

cpu::AttentionTile AttentionPlan::tile_of(const Sequence& s, int64_t tile) const {
  const auto chunk = static_cast<int>(tile % chunks_);
  // Later tiles see more keys: they go first, so that the threads end together.
  const int64_t tiles = divide_up(s.tokens, s.tile_tokens);
  const auto first = static_cast<int>((tiles - 1 - tile / chunks_) * s.tile_tokens);
  const int kv_head = chunk / chunks_per_kv_;
  const int head = chunk % chunks_per_kv_ * chunk_;  // within the group
  return {.block_table = s.block_table,
          .row = s.row + first,
          .tokens = std::min(s.tile_tokens, s.tokens - first),
          .position = s.position + first,
          .kv_head = kv_head,
          .head = kv_head * group_ + head,
          .heads = std::min(chunk_, group_ - head)};
}

void AttentionPlan::run_task(const cpu::AttentionKernels& kernels, const cpu::AttentionCall& call,
                             int64_t task, float* partials) const {
  const auto found = std::upper_bound(sequences_.begin(), sequences_.end(), task,
                                      [](int64_t t, const Sequence& s) { return t < s.tasks_end; });
  CHECK(found != sequences_.end(), "task {} of {}", task, num_tasks_);
  const Sequence& s = *found;
  const int64_t index = task - (s.tasks_end - tiles_of(s) * s.partitions);
  const int64_t tile_index = index / s.partitions;
  const cpu::AttentionTile tile = tile_of(s, tile_index);
  if (s.partitions == 1) return kernels.attend(call, tile);
  const auto nth = static_cast<int>(index % s.partitions);
  const cpu::PartitionRange range = cpu::partitions_of(tile, window_);
  if (range.begin + nth >= range.end) return;
  const size_t rows = static_cast<size_t>(tile.tokens * tile.heads);
  float* to = partials + s.partials + static_cast<size_t>(tile_index) * tile_partials(s) +
              static_cast<size_t>(nth) * rows * static_cast<size_t>(cpu::partial_stride(head_dim_));
  kernels.attend_partition(call, tile, range.begin + nth, to);
}

void AttentionPlan::run_merge(const cpu::AttentionKernels& kernels, const cpu::AttentionCall& call,
                              int64_t merge, const float* partials) const {
  const auto found = std::upper_bound(sequences_.begin(), sequences_.end(), merge,
                                      [](int64_t m, const Sequence& s) { return m < s.merges_end; });
  CHECK(found != sequences_.end(), "merge {} of {}", merge, num_merges_);
  const Sequence& s = *found;
  const int64_t tile_index = merge - (s.merges_end - tiles_of(s));
  kernels.merge(call, tile_of(s, tile_index),
                partials + s.partials + static_cast<size_t>(tile_index) * tile_partials(s));
}

}  // namespace pegainfer

// AttentionPlan: how one paged_attention call is cut into tasks for the threads.
//
// A task is a whole tile (some query rows, the heads of one KV head), or, where a tile would be too large a
// share of the work (a decode step over a long context), one partition of its keys, merged afterwards. Which
// it is changes no bit of the result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backend/batch_view.h"
#include "backend/ops.h"
#include "kernels/cpu/attention.h"

namespace pegainfer {

class AttentionPlan {
 public:
  // Memory for the records of `seqs` sequences.
  [[nodiscard]] static size_t bytes(int seqs) { return static_cast<size_t>(seqs) * sizeof(Sequence); }
  [[nodiscard]] static size_t max_split_tiles(int threads) {
    return static_cast<size_t>(threads) * kTilesPerThread;
  }

  // memory: bytes(batch.num_seqs). Tiles are split only when their partials take at most max_partials floats.
  AttentionPlan(const AttentionParams& params, const BatchView& batch, int threads, size_t max_partials,
                std::byte* memory);

  [[nodiscard]] int64_t num_tasks() const { return num_tasks_; }
  [[nodiscard]] int64_t num_merges() const { return num_merges_; }
  [[nodiscard]] size_t num_partials() const { return num_partials_; }  // floats
  [[nodiscard]] int64_t work() const { return work_; }  // multiply-adds, of scores and of values

  void run_task(const cpu::AttentionKernels& kernels, const cpu::AttentionCall& call, int64_t task,
                float* partials) const;
  void run_merge(const cpu::AttentionKernels& kernels, const cpu::AttentionCall& call, int64_t merge,
                 const float* partials) const;

 private:
  static constexpr int kTilesPerThread =
      4;  // a tile that is more than 1 / (threads * this) of the work is split

  struct Sequence {
    const int32_t* block_table;
    int64_t row;  // the first query row
    int tokens;
    int position;  // of the first query token
    int tile_tokens;
    int partitions;  // tasks of a tile: 1, or the most partitions a tile of it sees
    int64_t tasks_end;
    int64_t merges_end;
    size_t partials;  // where its partials begin
  };

  void add(Sequence& s, int tokens, int context);
  void split(const AttentionParams& params, int threads, size_t max_partials);
  [[nodiscard]] int64_t tiles_of(const Sequence& s) const;
  [[nodiscard]] cpu::AttentionTile tile_of(const Sequence& s, int64_t tile) const;
  [[nodiscard]] size_t tile_partials(const Sequence& s) const;

  std::span<Sequence> sequences_;
  int window_;
  int head_dim_;
  int group_;          // query heads of a KV head
  int chunk_;          // of those, in a tile
  int chunks_per_kv_;  // tiles of one KV head's heads
  int chunks_;         // of all heads
  int64_t num_tasks_ = 0;
  int64_t num_merges_ = 0;
  size_t num_partials_ = 0;
  int64_t work_ = 0;
};

}  // namespace pegainfer

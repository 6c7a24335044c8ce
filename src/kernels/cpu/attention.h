// Causal attention over the paged cache, in tiles: some query rows of one sequence times some heads of one KV
// head.
//
// Keys are taken in partitions of kAttentionPartition absolute positions. Within a partition a row's scores,
// their maximum, the exponentials' sum and the weighted sum of values are computed in the order of positions;
// partitions are merged in their order. So a row's bits depend on its sequence alone: not on the tile it is
// in, on how partitions are spread over threads, nor on which blocks hold the keys.
#pragma once

#include <cstdint>

#include "kernels/cpu/isa.h"
#include "kernels/cpu/kv_layout.h"
#include "tensor/tensor.h"

namespace pegainfer::cpu {

inline constexpr int kAttentionPartition = 256;
inline constexpr int kMaxTileRows = 24;  // query tokens times heads of a tile
inline constexpr int kMaxHeadDim = 256;

struct AttentionCall {
  Tensor q;    // [tokens, heads * head_dim] BF16 or F32
  Tensor out;  // of q's shape and dtype
  KvLayer kv;
  float scale = 0;  // above 0
  int window = 0;   // position p sees (p - window, p]; 0: [0, p]
};

struct AttentionTile {
  const int32_t* block_table = nullptr;  // of the sequence
  int64_t row = 0;                       // of q and out: the first token
  int tokens = 0;
  int position = 0;  // of the first token
  int kv_head = 0;
  int head = 0;  // the first of `heads` query heads, all of kv_head; tokens * heads <= kMaxTileRows
  int heads = 0;
};

// Partitions [begin, end) that some row of the tile sees.
struct PartitionRange {
  int begin = 0;
  int end = 0;
};
[[nodiscard]] PartitionRange partitions_of(const AttentionTile& tile, int window);

// What one partition gives to one row: head_dim weighted sums padded to 16, the maximum, the sum.
[[nodiscard]] constexpr int partial_stride(int head_dim) { return (head_dim + 15) / 16 * 16 + 16; }

struct AttentionKernels {
  // The whole tile.
  void (*attend)(const AttentionCall& call, const AttentionTile& tile);
  // One partition -> partials [tokens * heads, partial_stride], 64-aligned.
  void (*attend_partition)(const AttentionCall& call, const AttentionTile& tile, int partition,
                           float* partials);
  // Partials of all the tile's partitions [partitions, tokens * heads, partial_stride] -> out.
  void (*merge)(const AttentionCall& call, const AttentionTile& tile, const float* partials);
};

[[nodiscard]] const AttentionKernels& attention_kernels(Isa isa);

}  // namespace pegainfer::cpu

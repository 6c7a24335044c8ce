// Prefill's tiles of query rows. A sequence's rows for one KV head are its query positions times the group's
// heads, position first, so that short prompts and chunks fill tiles too; a tile is 128 of them.
#pragma once

#include "kernels/cuda/attention/attention.h"

namespace pegainfer::cuda {

inline constexpr int kQueryRows = 128;

struct QueryTile {
  int sequence = -1;  // -1: there is no such tile
  int tile = 0;       // rows [128 tile, ..) of the sequence
  int rows = 0;       // the sequence has
  int token = 0;      // its first row of q
  int position = 0;   // of that row's token
  int context = 0;    // positions the sequence has
};

// At most so many tiles a KV head; the device knows how many there are.
constexpr int max_query_tiles(int num_tokens, int num_seqs, int group) {
  const int whole = static_cast<int>(int64_t{num_tokens} * group / kQueryRows);
  return whole + (num_seqs < num_tokens / 2 ? num_seqs : num_tokens / 2);
}

// Tile `index` of the batch, by a whole warp: sequences in order, a sequence's last tile (the longest) first.
__device__ __forceinline__ QueryTile find_query_tile(const PagedAttention& p, int index) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = p.group();
  for (int base = 0; base < p.num_seqs; base += 32) {
    const int s = base + lane;
    int token = 0;
    int queries = 0;
    int context = 0;
    if (s < p.num_seqs) {
      token = p.query_start[s];
      queries = p.query_start[s + 1] - token;
      context = p.context_len[s];
    }
    const int tiles = queries > 1 ? (queries * group + kQueryRows - 1) / kQueryRows : 0;
    int end = tiles;
#pragma unroll
    for (int offset = 1; offset < 32; offset *= 2) {
      const int left = __shfl_up_sync(0xffffffffU, end, offset);
      if (lane >= offset) end += left;
    }
    const unsigned beyond = __ballot_sync(0xffffffffU, end > index);
    if (beyond != 0) {
      const int found = __ffs(static_cast<int>(beyond)) - 1;
      QueryTile t;
      t.sequence = base + found;
      t.tile = __shfl_sync(0xffffffffU, end, found) - 1 - index;
      t.rows = __shfl_sync(0xffffffffU, queries, found) * group;
      t.token = __shfl_sync(0xffffffffU, token, found);
      t.context = __shfl_sync(0xffffffffU, context, found);
      t.position = t.context - t.rows / group;
      return t;
    }
    index -= __shfl_sync(0xffffffffU, end, 31);
  }
  return {};
}

// Positions [begin, end) that some row of the tile sees.
struct SeenRange {
  int begin = 0;
  int end = 0;
};
__device__ __forceinline__ SeenRange seen_range(const QueryTile& t, int group, int window) {
  const int first_row = t.tile * kQueryRows;
  const int last_row = min(first_row + kQueryRows, t.rows) - 1;
  const int first = t.position + first_row / group;
  return {window > 0 ? max(0, first + 1 - window) : 0, t.position + last_row / group + 1};
}

}  // namespace pegainfer::cuda

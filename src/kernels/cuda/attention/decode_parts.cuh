// What the decode kernels are made of: a CTA's warps take tiles of 16 positions in turn, each with a ring of
// tiles of its own in shared memory that cp.async fills, so nothing but the end of an item is a barrier. A
// tile's scores are transposed, [16 positions, 8 query heads] = K Q^T, and so is the output, [head_dim, 8
// query heads] = V^T P^T: a thread's two columns are the same heads in both, which makes the online softmax
// two registers a thread. P goes into the product as two BF16 (its rounding and the rest), so it counts as
// F32; the tensor cores are idle otherwise.
#pragma once

#include "kernels/cuda/attention/decode.h"
#include "kernels/cuda/attention/tensor_core.cuh"
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"

namespace pegainfer::cuda {

constexpr int warps_of(int head_dim) { return head_dim > 128 ? 2 : 4; }

template <int kHeadDim, int kStages>
struct Shape {
  static constexpr int kWarps = warps_of(kHeadDim);
  static constexpr int kThreads = 32 * kWarps;
  static constexpr int kRowBytes =
      2 * kHeadDim + 16;  // an odd number of 16 bytes: ldmatrix without conflicts
  static constexpr int kTileBytes = kTileTokens * kRowBytes;
  static constexpr int kRingBytes = kStages * 2 * kTileBytes;  // of a warp
  static constexpr int kSharedBytes = kWarps * kRingBytes;
  static constexpr int kSumStride = kHeadDim + 4;  // floats a head in a warp's ring, when it holds the sums
  static constexpr int kState = kMaxGroupHeads * kSumStride;  // maxima and sums behind the outputs
  // What is gathered stays within the ring's first keys, for its other stages are being filled meanwhile.
  static_assert((kState + 2 * kMaxGroupHeads) * 4 <= kTileBytes);
  static_assert(kMaxGroupHeads / kWarps * kMaxSplits * 4 <= kTileBytes);  // weights of the splits
};

struct Item {
  DecodeChunk chunk;
  int index = 0;  // of the chunk
  int kv_head = 0;
  int head = 0;  // first query head
  int heads = 0;
  int tile = 0;   // this warp's first
  int tiles = 0;  // this warp's, kWarps apart
  int first = 0;  // position that is seen
};

__device__ __forceinline__ DecodeChunk read_chunk(const DecodeChunk* from) {
  const int4 low = __ldcg(reinterpret_cast<const int4*>(from));
  const int4 high = __ldcg(reinterpret_cast<const int4*>(from) + 1);
  return {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
}

// Items are numbered by chunk, KV head, part of its query heads.
struct Items {
  int group;
  int parts;
  int part_heads;
  int columns;

  __device__ explicit Items(const PagedAttention& p)
      : group(p.group()),
        parts(head_parts(group)),
        part_heads((group + parts - 1) / parts),
        columns(p.num_kv_heads * parts) {}

  template <int kWarps>
  __device__ __forceinline__ Item item(const PagedAttention& p, int i, const DecodeChunk& chunk) const {
    Item item;
    item.chunk = chunk;
    item.index = i / columns;
    item.kv_head = i % columns / parts;
    const int part = i % parts * part_heads;
    item.head = item.kv_head * group + part;
    item.heads = min(part_heads, group - part);
    item.tile = chunk.tile_begin + static_cast<int>(threadIdx.x) / 32;
    item.tiles = max(0, (chunk.tile_end - item.tile + kWarps - 1) / kWarps);
    item.first = p.window > 0 ? max(0, chunk.context - p.window) : 0;
    return item;
  }
};

__device__ __forceinline__ const __nv_bfloat16* key_tile(const PagedAttention& p, int head_dim, int block,
                                                         int kv_head, int position) {
  return static_cast<const __nv_bfloat16*>(p.kv) +
         ((int64_t{block} * 2 * p.num_kv_heads + kv_head) * p.block_size + position % p.block_size) *
             head_dim;
}

// A warp's share of an item: running maximum (of score * log2 e), sum and output of its tiles.
template <int kHeadDim>
struct Sums {
  float most[2] = {-INFINITY, -INFINITY};  // of heads 2 (lane % 4) and the next
  float total[2] = {0.0F, 0.0F};           // of this thread's positions alone until gathered
  float out[kHeadDim / 16][4] = {};        // [16 i + lane / 4 (+ 8)][the two heads]
};

// `without`: a position that is not copied, and whose row of the stage is left alone.
template <int kHeadDim, int kStages>
__device__ __forceinline__ void load_tile(const PagedAttention& p, const Item& item, int tile, int block,
                                          int without, uint32_t stage) {
  using S = Shape<kHeadDim, kStages>;
  constexpr int kChunks = kHeadDim / 8;  // of 16 bytes in a row
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int position = tile * kTileTokens;
  const __nv_bfloat16* k = key_tile(p, kHeadDim, block, item.kv_head, position);
  const __nv_bfloat16* v = k + int64_t{p.num_kv_heads} * p.block_size * kHeadDim;
#pragma unroll
  for (int i = 0; i < kTileTokens * kChunks / 32; ++i) {
    const int at = lane + 32 * i;
    const int token = at / kChunks;
    const bool seen = position + token < item.chunk.context && position + token >= item.first;
    if (position + token == without) continue;
    const uint32_t to = stage + static_cast<uint32_t>(token * S::kRowBytes + at % kChunks * 16);
    copy_async(to, k + at * 8, seen);
    copy_async(to + S::kTileBytes, v + at * 8, seen);
  }
}

template <int kHeadDim, int kStages>
__device__ __forceinline__ void compute_tile(const uint32_t (&q)[kHeadDim / 16][2], float scale,
                                             uint32_t stage, int position, int first, int end,
                                             Sums<kHeadDim>& sums) {
  using S = Shape<kHeadDim, kStages>;
  const uint32_t lane = threadIdx.x % 32;
  float even[4] = {};
  float odd[4] = {};
  const uint32_t k = stage + lane % 16 * S::kRowBytes + lane / 16 * 16;
#pragma unroll
  for (int i = 0; i < kHeadDim / 16; ++i) {
    uint32_t a[4];
    load_matrices(a, k + static_cast<uint32_t>(i * 32));
    mma(i % 2 == 0 ? even : odd, a, q[i][0], q[i][1]);
  }
  float score[4];  // [lane / 4 (+ 8 for the upper two)][two heads]
#pragma unroll
  for (int i = 0; i < 4; ++i) score[i] = (even[i] + odd[i]) * scale;
  if (position < first || position + kTileTokens > end) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int at = position + static_cast<int>(lane) / 4 + i / 2 * 8;
      if (at < first || at >= end) score[i] = -INFINITY;
    }
  }
  float shrink[2];
  float prob[4];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float most = fmaxf(score[h], score[h + 2]);
#pragma unroll
    for (int offset = 4; offset < 32; offset *= 2)
      most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, offset));
    most = fmaxf(sums.most[h], most);  // a tile has a position that is seen, so this is finite
    shrink[h] = fast_exp2(sums.most[h] - most);
    sums.most[h] = most;
    prob[h] = fast_exp2(score[h] - most);
    prob[h + 2] = fast_exp2(score[h + 2] - most);
    sums.total[h] = sums.total[h] * shrink[h] + (prob[h] + prob[h + 2]);
  }
  uint32_t high[2];
  uint32_t low[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const float a = prob[2 * i];
    const float b = prob[2 * i + 1];
    high[i] = transposed(pack_bf16(a, b));
    low[i] = transposed(pack_bf16(a - rounded<__nv_bfloat16>(a), b - rounded<__nv_bfloat16>(b)));
  }
  const uint32_t v = stage + S::kTileBytes + (lane % 8 + lane / 16 * 8) * S::kRowBytes + lane / 8 % 2 * 16;
#pragma unroll
  for (int i = 0; i < kHeadDim / 16; ++i) {
    uint32_t a[4];
    load_matrices_transposed(a, v + static_cast<uint32_t>(i * 32));
#pragma unroll
    for (int j = 0; j < 4; ++j) sums.out[i][j] *= shrink[j % 2];
    mma(sums.out[i], a, high[0], high[1]);
    mma(sums.out[i], a, low[0], low[1]);
  }
}

// A warp's way through its ring. Tile i of an item goes to stage i + 1, so that the first keys are the last
// to be written over.
template <int kHeadDim, int kStages, bool kWithHeads>
struct Loader {
  using S = Shape<kHeadDim, kStages>;
  const PagedAttention& p;
  uint32_t ring;
  int blocks = 0;  // of the warp's next 32 tiles, one a lane

  __device__ __forceinline__ static uint32_t stage_offset(int i) {
    return static_cast<uint32_t>((i + 1) % kStages * 2 * S::kTileBytes);
  }
  __device__ __forceinline__ void read_blocks(const Item& item, int i) {
    i += static_cast<int>(threadIdx.x) % 32;
    if (i < item.tiles)
      blocks = __ldcg(p.block_table + item.chunk.sequence * p.table_stride +
                      (item.tile + i * S::kWarps) * kTileTokens / p.block_size);
  }
  __device__ __forceinline__ void load(const Item& item, int i) {
    if (i < item.tiles) {
      if (i % 32 == 0) read_blocks(item, i);
      const int block = __shfl_sync(0xffffffffU, blocks, i % 32);
      load_tile<kHeadDim, kStages>(p, item, item.tile + i * S::kWarps, block,
                                   kWithHeads ? item.chunk.context - 1 : -1, ring + stage_offset(i));
    }
    commit_copies();
  }
  __device__ __forceinline__ void begin(const Item& item) {
#pragma unroll
    for (int i = 0; i < kStages - 1; ++i) load(item, i);
  }
};

// Query operands of the item's heads.
template <int kHeadDim>
__device__ __forceinline__ void load_queries(const PagedAttention& p, const Item& item,
                                             uint32_t (&q)[kHeadDim / 16][2]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const __nv_bfloat16* row = static_cast<const __nv_bfloat16*>(p.q) + item.chunk.row * p.q_stride +
                             int64_t{item.head + lane / 4} * kHeadDim + lane % 4 * 2;
#pragma unroll
  for (int i = 0; i < kHeadDim / 16; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      q[i][half] = lane / 4 < item.heads ? *reinterpret_cast<const uint32_t*>(row + i * 16 + half * 8) : 0U;
  }
}

// The warp's tiles of the item, of which the first ones are under way. complete(i, stage): what is still
// missing in tile i.
template <int kHeadDim, int kStages, class Loader, class Complete>
__device__ __forceinline__ void sum_tiles(const PagedAttention& p, const Item& item, Loader& loader,
                                          const uint32_t (&q)[kHeadDim / 16][2], const Complete& complete,
                                          Sums<kHeadDim>& sums) {
  const float scale = p.scale * 1.4426950408889634F;
  for (int i = 0; i < item.tiles; ++i) {
    wait_for_copies<kStages - 2>();
    __syncwarp();  // all lanes' copies are there, and all are done with the stage that is loaded next
    loader.load(item, i + kStages - 1);
    complete(i, loader.stage_offset(i));
    compute_tile<kHeadDim, kStages>(q, scale, loader.ring + loader.stage_offset(i),
                                    (item.tile + i * Shape<kHeadDim, kStages>::kWarps) * kTileTokens,
                                    item.first, item.chunk.context, sums);
  }
  __syncwarp();
}

// Asks for the first tiles of this warp to be brought to L2, before anything
// may be relied upon: item and table may be those of another step, so they are checked, and read past L1,
// which keeps what it has. A hint changes nothing but time.
template <int kHeadDim, int kWarps>
__device__ __forceinline__ void warm_tiles(const PagedAttention& p, const Item& item) {
  constexpr int kWarmTiles = 4;
  constexpr int kLines = kTileTokens * kHeadDim * 2 / 128;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int t = 0; t < min(item.tiles, kWarmTiles); ++t) {
    const int position = (item.tile + t * kWarps) * kTileTokens;
    const int entry = position / p.block_size;
    if (position < 0 || entry >= p.table_stride) return;
    const int block = __ldcg(p.block_table + item.chunk.sequence * p.table_stride + entry);
    if (block < 0 || block >= p.num_blocks) return;
    const __nv_bfloat16* k = key_tile(p, kHeadDim, block, item.kv_head, position);
    for (int line = lane; line < kLines; line += 32) {
      asm volatile("prefetch.global.L2 [%0];" ::"l"(k + line * 64));
      asm volatile("prefetch.global.L2 [%0];" ::"l"(k + int64_t{p.num_kv_heads} * p.block_size * kHeadDim +
                                                    line * 64));
    }
  }
}

template <int kHeadDim>
__device__ __forceinline__ void store_row(const PagedAttention& p, int row, int head, int d4, float4 v,
                                          float factor = 1.0F) {
  const uint2 raw{pack_bf16(v.x * factor, v.y * factor), pack_bf16(v.z * factor, v.w * factor)};
  __nv_bfloat16* out =
      static_cast<__nv_bfloat16*>(p.out) + row * p.out_stride + int64_t{head} * kHeadDim + 4 * d4;
  *reinterpret_cast<uint2*>(out) = raw;
}

// The warps' sums, added in order: emit(head, d4, outputs, maximum, total), the outputs not yet divided by
// it.
template <int kHeadDim, int kStages, class Emit>
__device__ __forceinline__ void gather_warps(const Item& item, float* shared, Sums<kHeadDim>& sums,
                                             const Emit& emit) {
  using S = Shape<kHeadDim, kStages>;
  constexpr int kRing = S::kRingBytes / 4;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const bool empty = item.chunk.tile_begin == item.chunk.tile_end;
  float* mine = shared + static_cast<int>(threadIdx.x) / 32 * kRing;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    float total = sums.total[h];
#pragma unroll
    for (int offset = 4; offset < 32; offset *= 2) total += __shfl_xor_sync(0xffffffffU, total, offset);
    const int head = lane % 4 * 2 + h;
    if (lane < 4) {
      mine[S::kState + 2 * head] = sums.most[h];
      mine[S::kState + 2 * head + 1] = total;
    }
#pragma unroll
    for (int i = 0; i < kHeadDim / 16; ++i) {
      mine[head * S::kSumStride + i * 16 + lane / 4] = sums.out[i][h];
      mine[head * S::kSumStride + i * 16 + lane / 4 + 8] = sums.out[i][h + 2];
    }
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < item.heads * (kHeadDim / 4); i += S::kThreads) {
    const int head = i / (kHeadDim / 4);
    const int d4 = i % (kHeadDim / 4);
    float most = -INFINITY;
#pragma unroll
    for (int w = 0; w < S::kWarps; ++w) most = fmaxf(most, shared[w * kRing + S::kState + 2 * head]);
    float total = 0.0F;
    float4 out{0.0F, 0.0F, 0.0F, 0.0F};
#pragma unroll
    for (int w = 0; w < S::kWarps; ++w) {
      const float* from = shared + w * kRing;
      // A warp without a tile has a maximum of -infinity and so weighs nothing, beside others.
      const float weight = empty ? 0.0F : fast_exp2(from[S::kState + 2 * head] - most);
      const float4 v = *reinterpret_cast<const float4*>(from + head * S::kSumStride + 4 * d4);
      total += weight * from[S::kState + 2 * head + 1];
      out.x += weight * v.x;
      out.y += weight * v.y;
      out.z += weight * v.z;
      out.w += weight * v.w;
    }
    emit(head, d4, out, most, total);
  }
  __syncthreads();  // the rings are free again
}

}  // namespace pegainfer::cuda

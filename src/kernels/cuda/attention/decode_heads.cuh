// What comes between the projections and decode's loop when it is part of the decode kernel: each warp
// normalises and turns the query heads of its item, and the warp whose last tile has the sequence's newest
// position makes that position's key, and takes key and value into its tile as well as into the cache. The
// arithmetic is qk_norm_rope()'s, so the bits are.
#pragma once

#include "kernels/cuda/attention/decode_parts.cuh"
#include "kernels/cuda/rope/rope.cuh"
#include "kernels/cuda/rope/rope.h"

namespace pegainfer::cuda {

// Head sizes whose lanes divide a warp.
constexpr bool can_fuse_heads(int head_dim) { return head_dim == 64 || head_dim == 128 || head_dim == 256; }

// A lane's columns of a head: 8 of the first half and the 8 that they turn with.
template <int kHeadDim>
struct HeadLane {
  static constexpr int kLanes = kHeadDim / 16;
  static constexpr int kHeads = 32 / kLanes;  // of a warp at a time

  int head = static_cast<int>(threadIdx.x) % 32 / kLanes;  // of those
  int low = static_cast<int>(threadIdx.x) % kLanes * 8;    // first column
  int high = low + kHeadDim / 2;

  __device__ __forceinline__ void load(const void* from, int64_t at, uint4& a, uint4& b) const {
    const auto* head_at = static_cast<const __nv_bfloat16*>(from) + at;
    a = __ldcg(reinterpret_cast<const uint4*>(head_at + low));
    b = __ldcg(reinterpret_cast<const uint4*>(head_at + high));
  }
};

struct NormWeights {
  float low[8];
  float high[8];
};

template <int kHeadDim>
__device__ __forceinline__ void load_norm(const float* norm, NormWeights& to) {
  const HeadLane<kHeadDim> lane;
  if (norm == nullptr) return;
  load_8(norm + lane.low, to.low);
  load_8(norm + lane.high, to.high);
}

template <int kHeadDim>
__device__ __forceinline__ void norm_and_turn(uint4& raw_a, uint4& raw_b, const float* norm,
                                              const NormWeights& weights, float eps, const float (&cos)[8],
                                              const float (&sin)[8]) {
  float a[8];
  float b[8];
  unpack(raw_a, a);
  unpack(raw_b, b);
  const float squares = squares_of<HeadLane<kHeadDim>::kLanes>(a, b);
  if (norm != nullptr) {
    const float scale = norm_scale(squares, kHeadDim, eps);
    normalise(a, scale, weights.low);
    normalise(b, scale, weights.high);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) turn<__nv_bfloat16>(a[i], b[i], cos[i], sin[i]);
  raw_a = pack(a);
  raw_b = pack(b);
}

// The newest position's key in the lanes of the first head of a warp, its value in those of the others.
struct Newest {
  int tile = -1;  // of the warp's tiles: the one that has it
  uint4 low;
  uint4 high;
};

template <int kHeadDim, int kWarps>
__device__ __forceinline__ int newest_tile(const Item& item) {
  const int tile = (item.chunk.context - 1) / kTileTokens;
  return item.tiles > 0 && item.tile + (item.tiles - 1) * kWarps == tile ? item.tiles - 1 : -1;
}

// Query operands of the item's heads and the newest key and value, by way of `stage`, which is free.
template <int kHeadDim, int kStages>
__device__ __forceinline__ void make_heads(const QkNormRopeParams& p, const Item& item, int group,
                                           const NormWeights& q_norm, unsigned char* stage,
                                           uint32_t (&q)[kHeadDim / 16][2], Newest& newest) {
  using S = Shape<kHeadDim, kStages>;
  using Lane = HeadLane<kHeadDim>;
  const Lane lane;
  const int64_t row = item.chunk.row;
  float cos[8];
  float sin[8];
  load_8(p.table + row * p.table_stride + lane.low, cos);
  load_8(p.table + row * p.table_stride + lane.high, sin);
  newest.tile = newest_tile<kHeadDim, S::kWarps>(item);
  const bool is_key = lane.head == 0;
  if (newest.tile >= 0)
    lane.load(is_key ? p.k : p.v, row * (is_key ? p.k_stride : p.v_stride) + int64_t{item.kv_head} * kHeadDim,
              newest.low, newest.high);
  NormWeights k_norm;
  if (newest.tile >= 0) load_norm<kHeadDim>(p.k_norm, k_norm);
  for (int first = 0; first < item.heads; first += Lane::kHeads) {
    const int head = first + lane.head;
    uint4 a{};
    uint4 b{};
    if (head < item.heads) lane.load(p.q, row * p.q_stride + int64_t{item.head + head} * kHeadDim, a, b);
    norm_and_turn<kHeadDim>(a, b, p.q_norm, q_norm, p.eps, cos, sin);
    if (head < item.heads) {
      *reinterpret_cast<uint4*>(stage + head * S::kRowBytes + lane.low * 2) = a;
      *reinterpret_cast<uint4*>(stage + head * S::kRowBytes + lane.high * 2) = b;
    }
  }
  if (newest.tile >= 0) {
    uint4 a = newest.low;
    uint4 b = newest.high;
    norm_and_turn<kHeadDim>(a, b, p.k_norm, k_norm, p.eps, cos, sin);
    if (is_key) {
      newest.low = a;
      newest.high = b;
    }
    if (lane.head < 2 && item.head == item.kv_head * group) {  // the first part of the group's heads stores
      __nv_bfloat16* cached = p.kv.place<__nv_bfloat16>(row, item.kv_head, is_key ? 0 : 1);
      *reinterpret_cast<uint4*>(cached + lane.low) = newest.low;
      *reinterpret_cast<uint4*>(cached + lane.high) = newest.high;
    }
  }
  __syncwarp();
  const int at = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int i = 0; i < kHeadDim / 16; ++i) {
#pragma unroll
    for (int half = 0; half < 2; ++half)
      q[i][half] = at / 4 < item.heads
                       ? *reinterpret_cast<const uint32_t*>(stage + at / 4 * S::kRowBytes +
                                                            (i * 16 + half * 8 + at % 4 * 2) * 2)
                       : 0U;
  }
}

// Into its row of the tile, which was not copied.
template <int kHeadDim, int kStages>
__device__ __forceinline__ void place_newest(const Newest& newest, const Item& item, unsigned char* stage) {
  using S = Shape<kHeadDim, kStages>;
  const HeadLane<kHeadDim> lane;
  if (lane.head < 2) {
    unsigned char* row =
        stage + lane.head * S::kTileBytes + (item.chunk.context - 1) % kTileTokens * S::kRowBytes;
    *reinterpret_cast<uint4*>(row + lane.low * 2) = newest.low;
    *reinterpret_cast<uint4*>(row + lane.high * 2) = newest.high;
  }
  __syncwarp();
}

}  // namespace pegainfer::cuda

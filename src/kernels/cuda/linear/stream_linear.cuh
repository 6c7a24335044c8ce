// The kernel of stream_linear.h.
//
// A unit is 16 rows of w (a tile) by 64 columns (a chunk): whole lines of memory, copied asynchronously into
// the warp's own ring in shared memory, so that loads in flight take no registers and need no barrier of the
// CTA. A lane then takes 16 bytes of each of its rows. The matrix instruction wants other columns in a lane
// than these eight neighbours; but which columns meet is ours to choose as long as w and x agree, so such a
// piece is four register operands as it stands, two instructions' worth.
//
// The rows of x come through a ring of their own, as far ahead as the weights: a load from L2 takes as long
// as one from memory while all of it is asked for.
#pragma once

#include <cuda_bf16.h>

#include "kernels/cuda/common/pdl.cuh"
#include "kernels/cuda/common/vec.cuh"
#include "kernels/cuda/linear/mma.cuh"
#include "kernels/cuda/linear/stream_linear.h"

namespace pegainfer::cuda::stream {

inline constexpr int kWarps = 8;
inline constexpr int kThreads = 32 * kWarps;
inline constexpr int kChunk = 64;                 // columns of a unit
inline constexpr int kPieces = kChunk / 8;        // of 16 bytes, in a row of a chunk
inline constexpr int kUnitPieces = 16 * kPieces;  // in a unit

template <int kTiles_, int kGroups_, int kStages_>
struct Config {
  static constexpr int kTiles = kTiles_;    // of 16 rows of w, computed together
  static constexpr int kGroups = kGroups_;  // of eight rows of x
  static constexpr int kStages = kStages_;  // units of a warp's ring
  // Chunks of x on their way: as many as the units ahead can begin, for a chunk's x is in registers before
  // the unit behind the ring is asked for.
  static constexpr int kTokenSlots = (kTiles - 1 + kStages) / kTiles;
  // Tiles whose partial sums are exchanged at a time.
  static constexpr int kRoundTiles = kGroups == 1 ? kTiles : 1;
  // Floats between two columns of a warp's partial sums: no two lanes of a store meet in a bank.
  static constexpr int kPitch = 16 * kRoundTiles + 4;
  static constexpr int kWarpParts = 8 * kGroups * kPitch;

  static constexpr size_t kRingBytes = size_t{16} * kWarps * kStages * kUnitPieces;
  static constexpr size_t kPartsBytes = sizeof(float) * kWarps * kWarpParts;
  static constexpr size_t shared_bytes(int rows) {
    const auto token_pieces = static_cast<size_t>(kWarps * kTokenSlots * kPieces) * static_cast<size_t>(rows);
    return kRingBytes + kPartsBytes + 16 * token_pieces;
  }
};

// Where piece `piece` of a row stands in the row's 128 bytes: so that the eight lanes of a quarter warp, four
// pieces of each of two rows, meet no bank twice.
__device__ __forceinline__ int swizzled(int row, int piece) { return piece ^ (row % 2 * 4); }

// Which rows of w this CTA has, and how a tile maps to them: 16 rows, or 8 of gate and the same 8 of up.
struct Rows {
  int begin;
  int end;
  int tile;        // rows from one tile to the next
  int high_shift;  // the lower eight of a tile: rows further down (or the same rows of w_up)
};

__device__ __forceinline__ Rows rows_of_cta(const StreamLinearParams& p) {
  const bool gated = p.output == StreamOutput::kGated;
  const int64_t block = blockIdx.x;
  return {.begin = static_cast<int>(p.n * block / gridDim.x),
          .end = static_cast<int>(p.n * (block + 1) / gridDim.x),
          .tile = gated ? 8 : 16,
          .high_shift = gated ? 0 : 8};
}

// The units of a warp in the order they are used: all tiles of a chunk, all chunks, then the next rows.
template <int kTiles>
struct Position {
  int pass;  // first row of the tiles computed together
  int chunk;
  int tile = 0;

  __device__ __forceinline__ void advance(const Rows& rows, int chunk_begin, int chunk_end) {
    if (++tile < kTiles) return;
    tile = 0;
    if (++chunk < chunk_end) return;
    chunk = chunk_begin;
    pass += kTiles * rows.tile;
  }
};

// Starts copies of a warp: four rows' lines an instruction.
class Copier {
 public:
  __device__ __forceinline__ Copier(const StreamLinearParams& p, const Rows& rows)
      : low_(static_cast<const __nv_bfloat16*>(p.w)),
        high_(p.output == StreamOutput::kGated ? static_cast<const __nv_bfloat16*>(p.w_up)
                                               : low_ + int64_t{8} * p.cols),
        x_(static_cast<const __nv_bfloat16*>(p.x)),
        x_stride_(p.x_stride),
        x_rows_(p.rows),
        rows_(rows),
        cols_(p.cols),
        policy_(evict_first_policy()),
        row_(static_cast<int>(threadIdx.x) % 32 / kPieces),
        piece_(static_cast<int>(threadIdx.x) % kPieces),
        at_(row_ * kPieces + swizzled(row_, piece_)) {}

  template <int kTiles>
  __device__ __forceinline__ void weights(const Position<kTiles>& from, uint4* slot) const {
    if (from.pass >= rows_.end) return;
    const int row = from.pass + from.tile * rows_.tile + row_;
    const int col = from.chunk * kChunk + piece_ * 8;
    const int bytes = col < cols_ ? 16 : 0;
    const int64_t offset = static_cast<int64_t>(row) * cols_ + (bytes != 0 ? col : 0);
    const int64_t four = int64_t{4} * cols_;
    uint4* to = slot + at_;
    if (row < rows_.end) copy_async_16(to, low_ + offset, bytes, policy_);
    if (row + 4 < rows_.end) copy_async_16(to + 4 * kPieces, low_ + offset + four, bytes, policy_);
    const int high = row + rows_.high_shift;
    if (high < rows_.end) copy_async_16(to + 8 * kPieces, high_ + offset, bytes, policy_);
    if (high + 4 < rows_.end) copy_async_16(to + 12 * kPieces, high_ + offset + four, bytes, policy_);
  }
  template <int kGroups>
  __device__ __forceinline__ void tokens(int chunk, uint4* slot) const {
    const int col = chunk * kChunk + piece_ * 8;
    const int bytes = col < cols_ ? 16 : 0;
    const __nv_bfloat16* from = x_ + row_ * x_stride_ + (bytes != 0 ? col : 0);
#pragma unroll
    for (int i = 0; i < 2 * kGroups; ++i) {
      if (4 * i + row_ < x_rows_)
        copy_async_16(slot + at_ + 4 * i * kPieces, from + 4 * i * x_stride_, bytes);
    }
  }

 private:
  const __nv_bfloat16* low_;
  const __nv_bfloat16* high_;
  const __nv_bfloat16* x_;
  int64_t x_stride_;
  int x_rows_;
  Rows rows_;
  int cols_;
  uint64_t policy_;  // weights are read once a step: they are not to drive activations out of L2
  int row_;
  int piece_;
  int at_;
};

__device__ __forceinline__ float silu(float v) { return v / (1.0F + expf(-v)); }

// The sum of the warps' parts of one output, in order.
template <class C>
__device__ __forceinline__ float sum_parts(const float* parts, int token, int tile_row) {
  float sum = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) sum += parts[w * C::kWarpParts + token * C::kPitch + tile_row];
  return sum;
}

// The sums of tiles [kFirst, kFirst + kRoundTiles).
template <class C, int kFirst>
__device__ __forceinline__ void store_parts(const float (&acc)[C::kTiles][C::kGroups][4], float* parts) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float* mine = parts + static_cast<int>(threadIdx.x) / 32 * C::kWarpParts;
#pragma unroll
  for (int i = 0; i < C::kRoundTiles; ++i) {
#pragma unroll
    for (int j = 0; j < C::kGroups; ++j) {
      float* at = mine + (8 * j + lane % 4 * 2) * C::kPitch + 16 * i + lane / 4;
      at[0] = acc[kFirst + i][j][0];
      at[C::kPitch] = acc[kFirst + i][j][1];
      at[8] = acc[kFirst + i][j][2];
      at[C::kPitch + 8] = acc[kFirst + i][j][3];
    }
  }
}

// The output of a round that a thread writes, at most one, and what it needs besides the sums: fetched before
// the products, for at their end nothing else would hide the wait.
struct Output {
  int token;
  int unit;  // of the round's rows of w (of gate)
  int row;   // of w; -1: none
  float bias;
  float bias_up;
  float before;  // kAdd
};

template <class C>
__device__ __forceinline__ Output prepare_output(const StreamLinearParams& p, const Rows& rows, int first) {
  static_assert(C::kRoundTiles * 16 * 8 * C::kGroups <= kThreads);
  Output o{.row = -1};
  const int count = min(C::kRoundTiles * rows.tile, rows.end - first);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread >= count * p.rows) return o;
  o.token = thread / count;
  o.unit = thread % count;
  o.row = first + o.unit;
  if (p.bias != nullptr) o.bias = __ldg(p.bias + o.row);
  if (p.bias_up != nullptr) o.bias_up = __ldg(p.bias_up + o.row);
  if (p.output == StreamOutput::kAdd)
    o.before = to_float(static_cast<const __nv_bfloat16*>(p.out)[o.token * p.out_stride + o.row]);
  return o;
}

template <class C>
__device__ __forceinline__ void write_output(const StreamLinearParams& p, const Output& o,
                                             const float* parts) {
  using Bf16 = __nv_bfloat16;
  if (o.row < 0) return;
  const int64_t at = o.token * p.out_stride + o.row;
  if (p.output == StreamOutput::kGated) {
    const int tile_row = o.unit / 8 * 16 + o.unit % 8;
    const float gate = rounded<Bf16>(sum_parts<C>(parts, o.token, tile_row) + o.bias);
    const float up = rounded<Bf16>(sum_parts<C>(parts, o.token, tile_row + 8) + o.bias_up);
    static_cast<Bf16*>(p.out)[at] = from_float<Bf16>(rounded<Bf16>(silu(gate)) * up);
    return;
  }
  const float sum = sum_parts<C>(parts, o.token, o.unit) + o.bias;
  if (p.out_f32)
    static_cast<float*>(p.out)[at] = sum;
  else if (p.output == StreamOutput::kAdd)
    static_cast<Bf16*>(p.out)[at] = from_float<Bf16>(o.before + rounded<Bf16>(sum));
  else
    static_cast<Bf16*>(p.out)[at] = from_float<Bf16>(sum);
}

template <class C>
struct Outputs {
  static constexpr int kRounds = C::kTiles / C::kRoundTiles;
  Output of_round[kRounds];

  __device__ __forceinline__ Outputs(const StreamLinearParams& p, const Rows& rows, int pass) {
#pragma unroll
    for (int i = 0; i < kRounds; ++i)
      of_round[i] = prepare_output<C>(p, rows, pass + i * C::kRoundTiles * rows.tile);
  }
};

// All tiles of a pass, a round at a time.
template <class C, int kRound = 0>
__device__ __forceinline__ void finish_pass(const StreamLinearParams& p, const Outputs<C>& outputs,
                                            const float (&acc)[C::kTiles][C::kGroups][4], float* parts) {
  __syncthreads();  // the parts before are summed
  store_parts<C, kRound * C::kRoundTiles>(acc, parts);
  __syncthreads();
  write_output<C>(p, outputs.of_round[kRound], parts);
  if constexpr (kRound + 1 < Outputs<C>::kRounds) finish_pass<C, kRound + 1>(p, outputs, acc, parts);
}

// x's operands of a chunk: of each group of rows two pieces a lane. Rows beyond the last repeat it: what they
// give is not used.
template <int kGroups>
__device__ __forceinline__ void load_tokens(const uint4* chunk, int rows, uint4 (&b)[kGroups][2]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int j = 0; j < kGroups; ++j) {
    const int row = min(8 * j + lane / 4, rows - 1);
    b[j][0] = chunk[row * kPieces + swizzled(row, lane % 4)];
    b[j][1] = chunk[row * kPieces + swizzled(row, lane % 4 + 4)];
  }
}

template <int kGroups>
__device__ __forceinline__ void multiply_unit(const uint4* unit, const uint4 (&b)[kGroups][2],
                                              float (&acc)[kGroups][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int row = lane / 4;
  uint4 low[2];
  uint4 high[2];
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    low[h] = unit[row * kPieces + swizzled(row, lane % 4 + 4 * h)];
    high[h] = unit[(row + 8) * kPieces + swizzled(row, lane % 4 + 4 * h)];
  }
#pragma unroll
  for (int h = 0; h < 2; ++h) {
#pragma unroll
    for (int j = 0; j < kGroups; ++j)
      mma_bf16(acc[j], low[h].x, high[h].x, low[h].y, high[h].y, b[j][h].x, b[j][h].y);
#pragma unroll
    for (int j = 0; j < kGroups; ++j)
      mma_bf16(acc[j], low[h].z, high[h].z, low[h].w, high[h].w, b[j][h].z, b[j][h].w);
  }
}

template <class C>
__global__ void __launch_bounds__(kThreads, 2)
    stream_linear_kernel(const __grid_constant__ StreamLinearParams p) {
  extern __shared__ __align__(128) unsigned char memory[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  uint4* ring = reinterpret_cast<uint4*>(memory) + warp * C::kStages * kUnitPieces;
  float* parts = reinterpret_cast<float*>(memory + C::kRingBytes);
  uint4* tokens = reinterpret_cast<uint4*>(memory + C::kRingBytes + C::kPartsBytes);
  const int token_slot = p.rows * kPieces;
  tokens += warp * C::kTokenSlots * token_slot;

  const Rows rows = rows_of_cta(p);
  const int chunks = (p.cols + kChunk - 1) / kChunk;
  const int chunk_begin = chunks * warp / kWarps;
  const int chunk_end = chunks * (warp + 1) / kWarps;
  const Position<C::kTiles> start{chunk_begin < chunk_end ? rows.begin : rows.end, chunk_begin};
  const Copier copy(p, rows);
  Position<C::kTiles> next = start;
#pragma unroll
  for (int s = 0; s < C::kStages; ++s) {
    copy.weights(next, ring + s * kUnitPieces);
    next.advance(rows, chunk_begin, chunk_end);
  }
  let_next_start();
  int token_in = 0;  // the slot that the next chunk's x goes to
  wait_for_previous();
  Position<C::kTiles> unit = start;
#pragma unroll
  for (int s = 0; s < C::kStages; ++s) {
    if (unit.tile == 0 && unit.pass < rows.end) {
      copy.tokens<C::kGroups>(unit.chunk, tokens + token_in * token_slot);
      token_in = token_in + 1 == C::kTokenSlots ? 0 : token_in + 1;
    }
    commit_copies();
    unit.advance(rows, chunk_begin, chunk_end);
  }

  int stage = 0;
  int token_out = 0;
  for (int pass = rows.begin; pass < rows.end; pass += C::kTiles * rows.tile) {
    const Outputs<C> outputs(p, rows, pass);
    float acc[C::kTiles][C::kGroups][4] = {};
    for (int chunk = chunk_begin; chunk < chunk_end; ++chunk) {
      uint4 b[C::kGroups][2];
#pragma unroll
      for (int i = 0; i < C::kTiles; ++i) {
        uint4* slot = ring + stage * kUnitPieces;
        wait_copies<C::kStages - 1>();
        __syncwarp();
        if (i == 0) {
          load_tokens<C::kGroups>(tokens + token_out * token_slot, p.rows, b);
          token_out = token_out + 1 == C::kTokenSlots ? 0 : token_out + 1;
        }
        multiply_unit<C::kGroups>(slot, b, acc[i]);
        __syncwarp();
        copy.weights(next, slot);
        if (next.tile == 0 && next.pass < rows.end) {
          copy.tokens<C::kGroups>(next.chunk, tokens + token_in * token_slot);
          token_in = token_in + 1 == C::kTokenSlots ? 0 : token_in + 1;
        }
        commit_copies();
        next.advance(rows, chunk_begin, chunk_end);
        stage = stage + 1 == C::kStages ? 0 : stage + 1;
      }
    }
    finish_pass<C>(p, outputs, acc, parts);
  }
}

}  // namespace pegainfer::cuda::stream

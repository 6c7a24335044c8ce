#include <algorithm>

#include "kernels/cuda/attention/prefill.h"
#include "kernels/cuda/attention/query_tiles.cuh"
#include "kernels/cuda/attention/tensor_core.cuh"
#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"

// FlashAttention-2's scheme: 8 warps of 16 query rows each, queries in registers, keys and values in two
// stages of shared memory that cp.async fills a step ahead, scores and probabilities in registers only. Tiles
// of positions are absolute, and go from the last one seen to the first: a row sees the same sums in the same
// order however its prompt was cut.

namespace pegainfer::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;

template <int kHeadDim>
struct Shape {
  static constexpr int kPositions = kHeadDim > 128 ? 32 : 64;  // in a tile
  static constexpr int kRowBytes = 2 * kHeadDim + 16;
  static constexpr int kTileBytes = kPositions * kRowBytes;
  static constexpr int kQueryBytes =
      kQueryRows * kRowBytes;  // before they are in registers, in the stages' place
  static constexpr int kSharedBytes = 4 * kTileBytes > kQueryBytes ? 4 * kTileBytes : kQueryBytes;
};

template <int kHeadDim>
__device__ __forceinline__ void load_tile(const PagedAttention& p, const int* table, int kv_head,
                                          int position, int end, uint32_t to) {
  using S = Shape<kHeadDim>;
  constexpr int kChunks = kHeadDim / 8;
  const int64_t v_offset = int64_t{p.num_kv_heads} * p.block_size * kHeadDim;
  for (int i = static_cast<int>(threadIdx.x); i < S::kPositions * kChunks; i += kThreads) {
    const int at = position + i / kChunks;
    const bool seen = at < end;
    const int block = seen ? table[at / p.block_size] : 0;
    const int64_t row = (int64_t{block} * 2 * p.num_kv_heads + kv_head) * p.block_size + at % p.block_size;
    const __nv_bfloat16* k = static_cast<const __nv_bfloat16*>(p.kv) + row * kHeadDim + i % kChunks * 8;
    const uint32_t place = to + static_cast<uint32_t>(i / kChunks * S::kRowBytes + i % kChunks * 16);
    copy_async(place, k, seen);
    copy_async(place + S::kTileBytes, k + v_offset, seen);
  }
  commit_copies();
}

// This warp's 16 query rows as A fragments, by way of shared memory.
template <int kHeadDim>
__device__ __forceinline__ void load_queries(const PagedAttention& p, const QueryTile& tile, int kv_head,
                                             uint32_t shared, uint32_t (&q)[kHeadDim / 16][4]) {
  using S = Shape<kHeadDim>;
  constexpr int kChunks = kHeadDim / 8;
  const int group = p.group();
  for (int i = static_cast<int>(threadIdx.x); i < kQueryRows * kChunks; i += kThreads) {
    const int row = tile.tile * kQueryRows + i / kChunks;
    const bool there = row < tile.rows;
    const int64_t token = there ? tile.token + row / group : tile.token;
    const __nv_bfloat16* from = static_cast<const __nv_bfloat16*>(p.q) + token * p.q_stride +
                                int64_t{kv_head * group + row % group} * kHeadDim + i % kChunks * 8;
    copy_async(shared + static_cast<uint32_t>(i / kChunks * S::kRowBytes + i % kChunks * 16), from, there);
  }
  commit_copies();
  wait_for_copies<0>();
  __syncthreads();
  const uint32_t lane = threadIdx.x % 32;
  const uint32_t at = shared + (threadIdx.x / 32 * 16 + lane % 16) * S::kRowBytes + lane / 16 * 16;
#pragma unroll
  for (int i = 0; i < kHeadDim / 16; ++i) load_matrices(q[i], at + static_cast<uint32_t>(i * 32));
  __syncthreads();
}

// What a thread's two rows (lane / 4 and 8 further of the warp's 16) see and have so far.
template <int kHeadDim>
struct Rows {
  int first[2];  // positions [first, last] are seen
  int last[2];
  float most[2] = {-INFINITY, -INFINITY};  // of score * log2 e
  float total[2] = {0.0F, 0.0F};           // of this thread's columns alone until the end
  float out[kHeadDim / 8][4] = {};
};

template <int kHeadDim>
__device__ __forceinline__ void compute_tile(const uint32_t (&q)[kHeadDim / 16][4], float scale, uint32_t k,
                                             uint32_t v, int position, bool masked, Rows<kHeadDim>& rows) {
  using S = Shape<kHeadDim>;
  const uint32_t lane = threadIdx.x % 32;
  float s[S::kPositions / 8][4] = {};
  const uint32_t k_at = k + (lane % 8 + lane / 16 * 8) * S::kRowBytes + lane / 8 % 2 * 16;
#pragma unroll
  for (int i = 0; i < kHeadDim / 16; ++i) {
#pragma unroll
    for (int j = 0; j < S::kPositions / 16; ++j) {
      uint32_t b[4];
      load_matrices(b, k_at + static_cast<uint32_t>(j * 16 * S::kRowBytes + i * 32));
      mma(s[2 * j], q[i], b[0], b[1]);
      mma(s[2 * j + 1], q[i], b[2], b[3]);
    }
  }
  if (masked) {
#pragma unroll
    for (int j = 0; j < S::kPositions / 8; ++j) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int at = position + j * 8 + static_cast<int>(lane) % 4 * 2 + i % 2;
        if (at < rows.first[i / 2] || at > rows.last[i / 2]) s[j][i] = -INFINITY;
      }
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float most = -INFINITY;
#pragma unroll
    for (int j = 0; j < S::kPositions / 8; ++j) most = fmaxf(most, fmaxf(s[j][2 * r], s[j][2 * r + 1]));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 2));
    most = fmaxf(rows.most[r], most * scale);
    const float base = most == -INFINITY ? 0.0F : most;  // a row that sees nothing of the tiles so far
    const float shrink = fast_exp2(rows.most[r] - base);
    rows.most[r] = most;
    rows.total[r] *= shrink;
#pragma unroll
    for (int i = 0; i < kHeadDim / 8; ++i) {
      rows.out[i][2 * r] *= shrink;
      rows.out[i][2 * r + 1] *= shrink;
    }
#pragma unroll
    for (int j = 0; j < S::kPositions / 8; ++j) {
      s[j][2 * r] = fast_exp2(fmaf(s[j][2 * r], scale, -base));
      s[j][2 * r + 1] = fast_exp2(fmaf(s[j][2 * r + 1], scale, -base));
      rows.total[r] += s[j][2 * r] + s[j][2 * r + 1];
    }
  }
  const uint32_t v_at = v + lane % 16 * S::kRowBytes + lane / 16 * 16;
#pragma unroll
  for (int j = 0; j < S::kPositions / 16; ++j) {
    const uint32_t a[4] = {pack_bf16(s[2 * j][0], s[2 * j][1]), pack_bf16(s[2 * j][2], s[2 * j][3]),
                           pack_bf16(s[2 * j + 1][0], s[2 * j + 1][1]),
                           pack_bf16(s[2 * j + 1][2], s[2 * j + 1][3])};
#pragma unroll
    for (int i = 0; i < kHeadDim / 16; ++i) {
      uint32_t b[4];
      load_matrices_transposed(b, v_at + static_cast<uint32_t>(j * 16 * S::kRowBytes + i * 32));
      mma(rows.out[2 * i], a, b[0], b[1]);
      mma(rows.out[2 * i + 1], a, b[2], b[3]);
    }
  }
}

template <int kHeadDim>
__device__ __forceinline__ void store_rows(const PagedAttention& p, const QueryTile& tile, int kv_head,
                                           Rows<kHeadDim>& rows) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = p.group();
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float total = rows.total[r];
    total += __shfl_xor_sync(0xffffffffU, total, 1);
    total += __shfl_xor_sync(0xffffffffU, total, 2);
    const float inverse = 1.0F / total;  // the diagonal is always seen
    const int row = tile.tile * kQueryRows + static_cast<int>(threadIdx.x) / 32 * 16 + lane / 4 + 8 * r;
    if (row >= tile.rows) continue;
    __nv_bfloat16* out = static_cast<__nv_bfloat16*>(p.out) +
                         int64_t{tile.token + row / group} * p.out_stride +
                         int64_t{kv_head * group + row % group} * kHeadDim + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < kHeadDim / 8; ++i)
      *reinterpret_cast<uint32_t*>(out + 8 * i) =
          pack_bf16(rows.out[i][2 * r] * inverse, rows.out[i][2 * r + 1] * inverse);
  }
}

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads) prefill_mma_kernel(PagedAttention p) {
  using S = Shape<kHeadDim>;
  extern __shared__ __align__(16) std::byte memory[];
  const uint32_t shared = shared_address(memory);
  wait_for_previous();
  let_next_start();

  const int kv_head = static_cast<int>(blockIdx.x) % p.num_kv_heads;
  const QueryTile tile = find_query_tile(p, static_cast<int>(blockIdx.x) / p.num_kv_heads);
  if (tile.sequence < 0) return;
  const int group = p.group();
  const SeenRange seen = seen_range(tile, group, p.window);
  const int* table = p.block_table + tile.sequence * p.table_stride;

  uint32_t q[kHeadDim / 16][4];
  load_queries<kHeadDim>(p, tile, kv_head, shared, q);
  Rows<kHeadDim> rows;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int row = tile.tile * kQueryRows + static_cast<int>(threadIdx.x) / 32 * 16 +
                    static_cast<int>(threadIdx.x) % 32 / 4 + 8 * r;
    rows.last[r] = tile.position + min(row, tile.rows - 1) / group;
    rows.first[r] = p.window > 0 ? rows.last[r] + 1 - p.window : 0;
  }
  // Tiles that every row sees all of need no mask.
  const int full_begin = p.window > 0 ? seen.end - p.window : 0;
  const int full_end = tile.position + tile.tile * kQueryRows / group + 1;

  const int begin = seen.begin / S::kPositions;
  const int end = (seen.end + S::kPositions - 1) / S::kPositions;
  load_tile<kHeadDim>(p, table, kv_head, (end - 1) * S::kPositions, seen.end, shared);
  for (int j = end - 1; j >= begin; --j) {
    const uint32_t stage = shared + static_cast<uint32_t>((end - 1 - j) % 2 * 2 * S::kTileBytes);
    const uint32_t other = shared + static_cast<uint32_t>((end - j) % 2 * 2 * S::kTileBytes);
    wait_for_copies<0>();
    __syncthreads();  // this stage is there, the other one is free
    const int position = j * S::kPositions;
    if (j > begin) load_tile<kHeadDim>(p, table, kv_head, position - S::kPositions, seen.end, other);
    compute_tile<kHeadDim>(q, p.scale * 1.4426950408889634F, stage, stage + S::kTileBytes, position,
                           position < full_begin || position + S::kPositions > full_end, rows);
  }
  store_rows<kHeadDim>(p, tile, kv_head, rows);
}

template <int kHeadDim>
cudaError_t launch_prefill(const PagedAttention& p, cudaStream_t stream) {
  const auto tiles = static_cast<unsigned>(max_query_tiles(p.num_tokens, p.num_seqs, p.group()));
  return launch({.grid = dim3(tiles * static_cast<unsigned>(p.num_kv_heads)),
                 .block = dim3(kThreads),
                 .shared_bytes = Shape<kHeadDim>::kSharedBytes,
                 .stream = stream},
                prefill_mma_kernel<kHeadDim>, p);
}

}  // namespace

cudaError_t prefill_mma(const PagedAttention& p, cudaStream_t stream) {
  if (max_query_tiles(p.num_tokens, p.num_seqs, p.group()) == 0) return cudaSuccess;
  switch (p.head_dim) {
    case 64: return launch_prefill<64>(p, stream);
    case 80: return launch_prefill<80>(p, stream);
    case 96: return launch_prefill<96>(p, stream);
    case 128: return launch_prefill<128>(p, stream);
    case 256: return launch_prefill<256>(p, stream);
    default: return cudaErrorInvalidValue;
  }
}

cudaError_t prefill_attention(const PagedAttention& p, const AttentionDevice& device, unsigned* counters,
                              cudaStream_t stream) {
  if (has_prefill_wgmma(p, device)) return prefill_wgmma(p, device, counters, stream);
  return prefill_mma(p, stream);
}

}  // namespace pegainfer::cuda

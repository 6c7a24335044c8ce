#include <cuda.h>

#include <algorithm>

#include "kernels/cuda/attention/hopper.cuh"
#include "kernels/cuda/attention/prefill.h"
#include "kernels/cuda/attention/query_tiles.cuh"
#include "kernels/cuda/attention/tensor_core.cuh"
#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"

// FlashAttention-3's scheme on Hopper. A CTA an SM takes tiles of 128 query rows from a common counter,
// longest first. Two warpgroups compute 64 rows each: scores and outputs in registers, probabilities as
// register operands, and their turns at the tensor cores alternate, so that one's exponentials run beside the
// other's products; within one, the next tile's scores are under way while this one's are exponentiated. A
// third warpgroup feeds them: one warp brings keys and values by TMA, 16 positions (which never leave a block
// of the cache) a box, the other three bring queries; being ahead of the computation it hides the change of
// tiles.
//
// Tiles of 128 positions are absolute and go from the last one seen to the first, as in prefill_mma.cu.

namespace pegainfer::cuda {
namespace {

constexpr int kPositions = 128;  // in a tile of keys and values
constexpr int kPage = 16;        // positions of one TMA box
constexpr int kConsumers = 2;    // warpgroups
constexpr int kThreads = 128 * (kConsumers + 1);
constexpr int kStages = 2;  // of keys and values
constexpr int kQueryStages = 2;
constexpr int kScheduled = 2;  // tiles that the producer may be ahead
[[maybe_unused]] constexpr int kQueryThreads = 96;
constexpr int kHalfBytes = kPositions * 128;  // 64 columns of 128 rows
static_assert(kQueryRows == kPositions);

template <int kHeadDim>
struct Shape {
  static constexpr int kHalves = kHeadDim / 64;
  static constexpr int kTileBytes = kHalves * kHalfBytes;
};

struct Barriers {
  uint64_t k_full[kStages], k_empty[kStages], v_full[kStages], v_empty[kStages];
  uint64_t q_full[kQueryStages], q_empty[kQueryStages];
  uint64_t tile_full[kScheduled], tile_empty[kScheduled];
};

struct Scheduled {
  QueryTile tile;
  int kv_head;
};

struct Maps {
  CUtensorMap kv;  // [blocks x 2 x KV heads x positions, head_dim] of the layer, boxes of 16 x 64
  CUtensorMap q;   // [tokens, heads, head_dim], boxes of 128 rows x 64; when q_boxes
  bool q_boxes;    // whether a tile of query rows is a box: the group divides it
};

template <int kHeadDim>
struct Shared {                                            // at a multiple of 1024
  std::byte q[kQueryStages][Shape<kHeadDim>::kTileBytes];  // of a tile; then its outputs
  std::byte k[kStages][Shape<kHeadDim>::kTileBytes];
  std::byte v[kStages][Shape<kHeadDim>::kTileBytes];
  Barriers barriers;
  Scheduled scheduled[kScheduled];
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

using namespace hopper;

// The n-th use of a ring of kSlots: its slot and the parity of the phase.
template <int kSlots>
struct Turn {
  int slot = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void next() {
    if (++slot == kSlots) {
      slot = 0;
      parity ^= 1;
    }
  }
};

// Takes the next tile that the producer scheduled; whole warps.
template <int kHeadDim>
__device__ __forceinline__ Scheduled take_scheduled(Shared<kHeadDim>& shared, Turn<kScheduled>& turn) {
  wait(shared_address(&shared.barriers.tile_full[turn.slot]), turn.parity);
  const Scheduled s = shared.scheduled[turn.slot];
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive(shared_address(&shared.barriers.tile_empty[turn.slot]));
  turn.next();
  return s;
}

struct TileRange {  // of keys and values, [begin, end)
  int begin;
  int end;
};
__device__ __forceinline__ TileRange tiles_of(const SeenRange& seen) {
  return {seen.begin / kPositions, (seen.end + kPositions - 1) / kPositions};
}

// The page of values in which the context ends: its rows by hand, zeros behind the context, where anything
// may stand (and a NaN times a probability of 0 is one).
template <int kHeadDim>
__device__ __forceinline__ void copy_last_page(const PagedAttention& p, int64_t row, int count, uint32_t to) {
  constexpr int kChunks = kHeadDim / 8;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const uint4* from =
      reinterpret_cast<const uint4*>(static_cast<const __nv_bfloat16*>(p.kv) + row * kHeadDim);
#pragma unroll 4
  for (int i = lane; i < kPage * kChunks; i += 32) {
    const int r = i / kChunks;
    const int c = i % kChunks;
    const uint4 v = r < count ? from[i] : uint4{0, 0, 0, 0};
    const uint32_t at = to + static_cast<uint32_t>(c / 8 * kHalfBytes + r * 128 + ((c % 8) ^ (r % 8)) * 16);
    asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(at), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
                 : "memory");
  }
}

// One tile of keys, then of values, a box a lane.
template <int kHeadDim>
struct KvProducer {
  static constexpr int kHalves = Shape<kHeadDim>::kHalves;
  static constexpr int kBoxes = kPositions / kPage * kHalves;
  static constexpr uint32_t kBoxBytes = kPage * 128;
  const PagedAttention& p;
  const CUtensorMap* map;
  Shared<kHeadDim>& shared;
  Turn<kStages> turn;

  __device__ __forceinline__ static int page() { return static_cast<int>(threadIdx.x) % 32 / kHalves; }
  __device__ __forceinline__ static bool seen(int position, int end) {
    return static_cast<int>(threadIdx.x) % 32 < kBoxes && position + page() * kPage < end;
  }
  // This lane's block of the tile at `position`.
  __device__ __forceinline__ int block_of(const Scheduled& s, int position, int end) const {
    return seen(position, end)
               ? p.block_table[s.tile.sequence * p.table_stride + (position + page() * kPage) / p.block_size]
               : 0;
  }

  __device__ __forceinline__ void load(const Scheduled& s, int position, int end, int block) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int at = position + page() * kPage;
    const bool is_seen = seen(position, end);
    const int row = (block * 2 * p.num_kv_heads + s.kv_head) * p.block_size + at % p.block_size;
    const uint32_t offset = static_cast<uint32_t>(lane % kHalves * kHalfBytes + page() * (kPage * 128));
    const int column = lane % kHalves * 64;

    // Keys of positions that no row sees need not be there: their scores are replaced.
    const uint32_t k_full = shared_address(&shared.barriers.k_full[turn.slot]);
    wait(shared_address(&shared.barriers.k_empty[turn.slot]), turn.parity ^ 1);
    const unsigned k_boxes = __ballot_sync(0xffffffffU, is_seen);
    if (lane == 0) arrive_expecting(k_full, static_cast<uint32_t>(__popc(k_boxes)) * kBoxBytes);
    __syncwarp();
    if (is_seen) load_box(shared_address(shared.k[turn.slot]) + offset, map, column, row, k_full);

    const int v_row = row + p.num_kv_heads * p.block_size;
    const uint32_t v_full = shared_address(&shared.barriers.v_full[turn.slot]);
    wait(shared_address(&shared.barriers.v_empty[turn.slot]), turn.parity ^ 1);
    const uint32_t to = shared_address(shared.v[turn.slot]);
    const bool ends = is_seen && at + kPage > s.tile.context;
    const unsigned ending = __ballot_sync(0xffffffffU, ends);
    if (ending != 0) {
      const int first = __ffs(static_cast<int>(ending)) - 1;
      const int last_row = __shfl_sync(0xffffffffU, v_row, first);
      copy_last_page<kHeadDim>(p, last_row, s.tile.context % kPage,
                               to + static_cast<uint32_t>(first / kHalves * kPage * 128));
      fence_async_proxy();
      __syncwarp();
    }
    const unsigned v_boxes = __ballot_sync(0xffffffffU, lane < kBoxes && !ends);
    if (lane == 0) arrive_expecting(v_full, static_cast<uint32_t>(__popc(v_boxes)) * kBoxBytes);
    __syncwarp();
    // Behind what is seen a box of zeros: a row behind the cache's end.
    const int zeros = p.num_blocks * 2 * p.num_kv_heads * p.block_size;
    if (lane < kBoxes && !ends) load_box(to + offset, map, column, is_seen ? v_row : zeros, v_full);
    turn.next();
  }
};

// The tile's query rows as boxes, by one lane.
template <int kHeadDim>
__device__ __forceinline__ void load_query_boxes(const PagedAttention& p, const Maps& maps,
                                                 const Scheduled& s, Turn<kQueryStages>& turn,
                                                 Shared<kHeadDim>& shared) {
  const int group = p.group();
  const uint32_t full = shared_address(&shared.barriers.q_full[turn.slot]);
  wait(shared_address(&shared.barriers.q_empty[turn.slot]), turn.parity ^ 1);
  if (threadIdx.x % 32 == 0) {
    arrive_expecting(full, Shape<kHeadDim>::kTileBytes);
    for (int half = 0; half < Shape<kHeadDim>::kHalves; ++half)
      load_box(shared_address(shared.q[turn.slot]) + static_cast<uint32_t>(half * kHalfBytes), &maps.q,
               half * 64, s.kv_head * group, s.tile.token + s.tile.tile * (kQueryRows / group), full);
  }
  __syncwarp();
  turn.next();
}

template <int kHeadDim>
__device__ __forceinline__ void produce(const PagedAttention& p, const Maps& maps, unsigned* counters,
                                        Shared<kHeadDim>& shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int group = p.group();
  const auto schedule = [&](int item) {
    return Scheduled{find_query_tile(p, item / p.num_kv_heads), item % p.num_kv_heads};
  };
  KvProducer<kHeadDim> kv{p, &maps.kv, shared, {}};
  Turn<kScheduled> turn;
  Turn<kQueryStages> q_turn;
  Scheduled s = schedule(static_cast<int>(blockIdx.x));
  while (true) {
    wait(shared_address(&shared.barriers.tile_empty[turn.slot]), turn.parity ^ 1);
    if (lane == 0) {
      shared.scheduled[turn.slot] = s;
      arrive(shared_address(&shared.barriers.tile_full[turn.slot]));
    }
    turn.next();
    if (s.tile.sequence < 0) break;
    int next = 0;
    if (lane == 0) next = static_cast<int>(gridDim.x + atomicAdd(&counters[0], 1U));
    if (maps.q_boxes) load_query_boxes(p, maps, s, q_turn, shared);
    const SeenRange seen = seen_range(s.tile, group, p.window);
    const TileRange tiles = tiles_of(seen);
    // The next tile is looked up while the first loads are on their way.
    const int look_up = max(tiles.begin, tiles.end - kStages);
    Scheduled following;
    int block = kv.block_of(s, (tiles.end - 1) * kPositions, seen.end);
    for (int j = tiles.end - 1; j >= tiles.begin; --j) {
      const int ahead = j > tiles.begin ? kv.block_of(s, (j - 1) * kPositions, seen.end) : 0;
      kv.load(s, j * kPositions, seen.end, block);
      block = ahead;
      if (j == look_up) following = schedule(__shfl_sync(0xffffffffU, next, 0));
    }
    s = following;
  }
  // The last CTA to take nothing leaves both words 0.
  if (lane == 0 && atomicInc(&counters[1], gridDim.x - 1) == gridDim.x - 1) atomicExch(&counters[0], 0U);
}

// The tile's query rows when they are no boxes.
template <int kHeadDim>
__device__ __forceinline__ void produce_queries(const PagedAttention& p, Shared<kHeadDim>& shared) {
  constexpr int kChunks = kHeadDim / 8;
  const int thread = static_cast<int>(threadIdx.x) - 32;
  const int group = p.group();
  Turn<kScheduled> turn;
  Turn<kQueryStages> q_turn;
  while (true) {
    const Scheduled s = take_scheduled(shared, turn);
    if (s.tile.sequence < 0) return;
    wait(shared_address(&shared.barriers.q_empty[q_turn.slot]), q_turn.parity ^ 1);
    const uint32_t q = shared_address(shared.q[q_turn.slot]);
#pragma unroll 2
    for (int i = thread; i < kQueryRows * kChunks; i += kQueryThreads) {
      const int r = i / kChunks;
      const int c = i % kChunks;
      const int row = s.tile.tile * kQueryRows + r;
      const bool there = row < s.tile.rows;
      const int64_t token = there ? s.tile.token + row / group : s.tile.token;
      const __nv_bfloat16* from = static_cast<const __nv_bfloat16*>(p.q) + token * p.q_stride +
                                  int64_t{s.kv_head * group + row % group} * kHeadDim + c * 8;
      copy_async(q + static_cast<uint32_t>(c / 8 * kHalfBytes + r * 128 + ((c % 8) ^ (r % 8)) * 16), from,
                 there);
    }
    commit_copies();
    wait_for_copies<0>();
    fence_async_proxy();
    arrive(shared_address(&shared.barriers.q_full[q_turn.slot]));
    q_turn.next();
  }
}

// What a thread's two rows (lane / 4 and 8 further of its warp's 16) see and have so far.
template <int kHeadDim>
struct Rows {
  int first[2];
  int last[2];
  float most[2];   // of the scores
  float total[2];  // of this thread's columns alone until the end
  float out[kHeadDim / 2];
};

// s = q k^T of a tile, started.
template <int kHeadDim>
__device__ __forceinline__ void start_scores(uint32_t q, uint32_t k, float (&s)[64]) {
  hold(s);
  wgmma_fence();
#pragma unroll
  for (int i = 0; i < kHeadDim / 16; ++i) {
    const uint32_t at = static_cast<uint32_t>(i / 4 * kHalfBytes + i % 4 * 32);
    wgmma(s, matrix(q + at, 16), matrix(k + at, 16), i > 0 ? 1 : 0);
  }
  wgmma_commit();
}

// out += probs v, started.
template <int kHeadDim>
__device__ __forceinline__ void start_outputs(uint32_t v, const uint32_t (&probs)[32],
                                              float (&out)[kHeadDim / 2]) {
  hold(out);
  wgmma_fence();
#pragma unroll
  for (int i = 0; i < kPositions / 16; ++i)
    wgmma(out, probs + 4 * i, matrix(v + static_cast<uint32_t>(i * 16 * 128), kHalfBytes));
  wgmma_commit();
}

// Scores to probabilities in place, the rows' states with them; shrink: what the outputs so far are
// multiplied by.
template <int kHeadDim>
__device__ __forceinline__ void soften(float (&s)[64], float scale, int position, bool masked,
                                       Rows<kHeadDim>& rows, float (&shrink)[2]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (masked) {
#pragma unroll
    for (int i = 0; i < 64; ++i) {
      const int at = position + i / 4 * 8 + lane % 4 * 2 + i % 2;
      const int r = i / 2 % 2;
      if (at < rows.first[r] || at > rows.last[r]) s[i] = -INFINITY;
    }
  }
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float most = rows.most[r];
#pragma unroll
    for (int j = 0; j < 16; ++j) most = fmaxf(most, fmaxf(s[4 * j + 2 * r], s[4 * j + 2 * r + 1]));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 1));
    most = fmaxf(most, __shfl_xor_sync(0xffffffffU, most, 2));
    const float base =
        most == -INFINITY ? 0.0F : most * scale;  // a row that sees nothing of the tiles so far
    shrink[r] = fast_exp2(fmaf(rows.most[r], scale, -base));
    rows.most[r] = most;
    float total = 0.0F;
#pragma unroll
    for (int j = 0; j < 16; ++j) {
      float& a = s[4 * j + 2 * r];
      float& b = s[4 * j + 2 * r + 1];
      a = fast_exp2(fmaf(a, scale, -base));
      b = fast_exp2(fmaf(b, scale, -base));
      total += a + b;
    }
    rows.total[r] = fmaf(rows.total[r], shrink[r], total);
  }
}

__device__ __forceinline__ void pack_probs(const float (&s)[64], uint32_t (&probs)[32]) {
#pragma unroll
  for (int i = 0; i < 32; ++i) probs[i] = pack_bf16(s[2 * i], s[2 * i + 1]);
}

// The rows' outputs, by way of where their queries were, so that whole rows are written.
template <int kHeadDim>
__device__ __forceinline__ void store_rows(const PagedAttention& p, const Scheduled& s, Rows<kHeadDim>& rows,
                                           uint32_t q) {
  constexpr int kChunks = kHeadDim / 8;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp_row = (static_cast<int>(threadIdx.x) / 32 - 4) * 16;  // in the tile
  const int group = p.group();
  const uint32_t mine = q + static_cast<uint32_t>(warp_row * 128);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float total = rows.total[r];
    total += __shfl_xor_sync(0xffffffffU, total, 1);
    total += __shfl_xor_sync(0xffffffffU, total, 2);
    const float inverse = 1.0F / total;  // the diagonal is always seen
    const uint32_t to = mine + static_cast<uint32_t>((lane / 4 + 8 * r) * 128 + lane % 4 * 4);
#pragma unroll
    for (int c = 0; c < kChunks; ++c) {
      const uint32_t pair =
          pack_bf16(rows.out[4 * c + 2 * r] * inverse, rows.out[4 * c + 2 * r + 1] * inverse);
      asm volatile("st.shared.b32 [%0], %1;" ::"r"(
                       to + static_cast<uint32_t>(c / 8 * kHalfBytes + ((c % 8) ^ (lane / 4)) * 16)),
                   "r"(pair)
                   : "memory");
    }
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < 16 * kChunks / 32; ++i) {
    const int r = (lane + 32 * i) / kChunks;
    const int c = lane % kChunks;
    uint4 v;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(mine + static_cast<uint32_t>(c / 8 * kHalfBytes + r * 128 + ((c % 8) ^ (r % 8)) * 16))
                 : "memory");
    const int row = s.tile.tile * kQueryRows + warp_row + r;
    __nv_bfloat16* out = static_cast<__nv_bfloat16*>(p.out) +
                         int64_t{s.tile.token + row / group} * p.out_stride +
                         int64_t{s.kv_head * group + row % group} * kHeadDim + c * 8;
    if (row < s.tile.rows) *reinterpret_cast<uint4*>(out) = v;
  }
  fence_async_proxy();  // the next queries come here
  __syncwarp();
}

template <int kHeadDim>
__device__ __forceinline__ void consume(const PagedAttention& p, Shared<kHeadDim>& shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int consumer = static_cast<int>(threadIdx.x) / 128 - 1;
  const int group = p.group();
  const float scale = p.scale * 1.4426950408889634F;
  const int my_turn = 1 + consumer;
  const int other_turn = 2 - consumer;
  const auto release = [&](uint64_t& barrier) {
    if (lane == 0) arrive(shared_address(&barrier));
  };
  Turn<kScheduled> turn;
  Turn<kStages> k_turn;
  Turn<kStages> v_turn;
  Turn<kQueryStages> q_turn;
  if (consumer == 1) arrive_named(other_turn, 256);  // the other one begins

  while (true) {
    const Scheduled s = take_scheduled(shared, turn);
    if (s.tile.sequence < 0) return;
    const SeenRange seen = seen_range(s.tile, group, p.window);
    const TileRange tiles = tiles_of(seen);
    Rows<kHeadDim> rows;
    const int row0 = s.tile.tile * kQueryRows + consumer * 64;
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int row = row0 + static_cast<int>(threadIdx.x) / 32 % 4 * 16 + lane / 4 + 8 * r;
      rows.last[r] = s.tile.position + min(row, s.tile.rows - 1) / group;
      rows.first[r] = p.window > 0 ? rows.last[r] + 1 - p.window : 0;
      rows.most[r] = -INFINITY;
      rows.total[r] = 0.0F;
    }
#pragma unroll
    for (float& v : rows.out) v = 0.0F;
    // Tiles that every row sees all of need no mask.
    const int full_begin = p.window > 0 ? seen.end - p.window : 0;
    const int full_end = s.tile.position + min(row0, s.tile.rows - 1) / group + 1;
    const auto masked = [&](int j) { return j * kPositions < full_begin || (j + 1) * kPositions > full_end; };

    float scores[64];
    uint32_t probs[32];
    float shrink[2];
    const uint32_t q_tile = shared_address(shared.q[q_turn.slot]);
    const uint32_t q = q_tile + static_cast<uint32_t>(consumer * 64 * 128);
    wait(shared_address(&shared.barriers.q_full[q_turn.slot]), q_turn.parity);
    int j = tiles.end - 1;
    wait(shared_address(&shared.barriers.k_full[k_turn.slot]), k_turn.parity);
    start_scores<kHeadDim>(q, shared_address(shared.k[k_turn.slot]), scores);
    wgmma_wait<0>();
    hold(scores);
    release(shared.barriers.k_empty[k_turn.slot]);
    k_turn.next();
    soften<kHeadDim>(scores, scale, j * kPositions, masked(j), rows, shrink);
    pack_probs(scores, probs);
    for (--j; j >= tiles.begin; --j) {
      wait(shared_address(&shared.barriers.k_full[k_turn.slot]), k_turn.parity);
      sync_named(my_turn, 256);
      start_scores<kHeadDim>(q, shared_address(shared.k[k_turn.slot]), scores);
      wait(shared_address(&shared.barriers.v_full[v_turn.slot]), v_turn.parity);
      start_outputs<kHeadDim>(shared_address(shared.v[v_turn.slot]), probs, rows.out);
      arrive_named(other_turn, 256);
      wgmma_wait<1>();
      hold(scores);
      release(shared.barriers.k_empty[k_turn.slot]);
      k_turn.next();
      soften<kHeadDim>(scores, scale, j * kPositions, masked(j), rows, shrink);
      wgmma_wait<0>();
      hold(rows.out);
      release(shared.barriers.v_empty[v_turn.slot]);
      v_turn.next();
      pack_probs(scores, probs);
#pragma unroll
      for (int i = 0; i < kHeadDim / 2; ++i) rows.out[i] *= shrink[i / 2 % 2];
    }
    wait(shared_address(&shared.barriers.v_full[v_turn.slot]), v_turn.parity);
    start_outputs<kHeadDim>(shared_address(shared.v[v_turn.slot]), probs, rows.out);
    wgmma_wait<0>();
    hold(rows.out);
    release(shared.barriers.v_empty[v_turn.slot]);
    v_turn.next();
    sync_named(3 + consumer, 128);  // none of the warpgroup reads queries any more
    store_rows<kHeadDim>(p, s, rows, q_tile);
    release(shared.barriers.q_empty[q_turn.slot]);
    q_turn.next();
  }
}

template <int kHeadDim>
__device__ __forceinline__ void init_barriers(Shared<kHeadDim>& shared, bool q_boxes) {
  constexpr int kWarps = 4 * kConsumers;
  Barriers& b = shared.barriers;
  for (int i = 0; i < kStages; ++i) {
    init_barrier(shared_address(&b.k_full[i]), 1);
    init_barrier(shared_address(&b.v_full[i]), 1);
    init_barrier(shared_address(&b.k_empty[i]), kWarps);
    init_barrier(shared_address(&b.v_empty[i]), kWarps);
  }
  for (int i = 0; i < kQueryStages; ++i) {
    init_barrier(shared_address(&b.q_full[i]), q_boxes ? 1 : kQueryThreads);
    init_barrier(shared_address(&b.q_empty[i]), kWarps);
  }
  for (int i = 0; i < kScheduled; ++i) {
    init_barrier(shared_address(&b.tile_full[i]), 1);
    init_barrier(shared_address(&b.tile_empty[i]), kWarps + (q_boxes ? 0 : kQueryThreads / 32));
  }
  fence_barrier_init();
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

template <int kHeadDim>
__global__ void __launch_bounds__(kThreads, 1)
    prefill_wgmma_kernel(PagedAttention p, const __grid_constant__ Maps maps, unsigned* counters) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) std::byte memory[];
  auto& shared = *reinterpret_cast<Shared<kHeadDim>*>(memory);
  if (threadIdx.x == 0) {
    prefetch_map(&maps.kv);
    if (maps.q_boxes) prefetch_map(&maps.q);
    init_barriers(shared, maps.q_boxes);
  }
  __syncthreads();
  wait_for_previous();
  let_next_start();
  if (threadIdx.x < 128) {
    fewer_registers<72>();
    if (threadIdx.x < 32) {
      produce<kHeadDim>(p, maps, counters, shared);
    } else if (!maps.q_boxes) {
      produce_queries<kHeadDim>(p, shared);
    }
  } else {
    more_registers<216>();
    consume<kHeadDim>(p, shared);
  }
#endif
}

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

EncodeTiled encode_tiled() {
  static const EncodeTiled function = [] {
    void* pointer = nullptr;
    cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &pointer, 12000, cudaEnableDefault,
                                         &found) != cudaSuccess ||
        found != cudaDriverEntryPointSuccess)
      pointer = nullptr;
    return reinterpret_cast<EncodeTiled>(pointer);
  }();
  return function;
}

bool encode(CUtensorMap& map, const void* data, int rank, const cuuint64_t* dims, const cuuint64_t* strides,
            const cuuint32_t* box) {
  const cuuint32_t steps[3] = {1, 1, 1};
  return encode_tiled()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<cuuint32_t>(rank),
                        const_cast<void*>(data), dims, strides, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                        CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                        CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) == CUDA_SUCCESS;
}

bool encode_maps(const PagedAttention& p, Maps& maps) {
  const auto size = [](int64_t n) { return static_cast<cuuint64_t>(n); };
  const cuuint64_t kv_dims[2] = {size(p.head_dim),
                                 size(int64_t{p.num_blocks} * 2 * p.num_kv_heads * p.block_size)};
  const cuuint64_t kv_strides[1] = {size(p.head_dim) * 2};
  const cuuint32_t kv_box[2] = {64, kPage};
  if (!encode(maps.kv, p.kv, 2, kv_dims, kv_strides, kv_box)) return false;
  maps.q = maps.kv;
  maps.q_boxes = kQueryRows % p.group() == 0;
  if (!maps.q_boxes) return true;
  const auto group = static_cast<cuuint32_t>(p.group());
  const cuuint64_t q_dims[3] = {size(p.head_dim), size(p.num_heads), size(p.num_tokens)};
  const cuuint64_t q_strides[2] = {size(p.head_dim) * 2, size(p.q_stride) * 2};
  const cuuint32_t q_box[3] = {64, group, kQueryRows / group};
  return encode(maps.q, p.q, 3, q_dims, q_strides, q_box);
}

// This build may hold no code for sm_90a; then the kernel is empty.
bool has_code() {
  static const bool has = [] {
    cudaFuncAttributes attributes{};
    return cudaFuncGetAttributes(&attributes, prefill_wgmma_kernel<128>) == cudaSuccess &&
           attributes.binaryVersion == 90 && attributes.numRegs > 100;
  }();
  return has;
}

template <int kHeadDim>
cudaError_t launch_prefill(const PagedAttention& p, const AttentionDevice& device, unsigned* counters,
                           cudaStream_t stream) {
  Maps maps;
  if (!encode_maps(p, maps)) return cudaErrorInvalidValue;
  const int items = max_query_tiles(p.num_tokens, p.num_seqs, p.group()) * p.num_kv_heads;
  return launch({.grid = dim3(static_cast<unsigned>(std::min(items, device.num_sms))),
                 .block = dim3(kThreads),
                 .shared_bytes = sizeof(Shared<kHeadDim>),
                 .stream = stream},
                prefill_wgmma_kernel<kHeadDim>, p, maps, counters);
}

}  // namespace

bool has_prefill_wgmma(const PagedAttention& p, const AttentionDevice& device) {
  const int64_t rows = int64_t{p.num_blocks} * 2 * p.num_kv_heads * p.block_size;
  return device.major == 9 && (p.head_dim == 64 || p.head_dim == 128) && rows < (int64_t{1} << 31) - kPage &&
         encode_tiled() != nullptr && has_code();
}

cudaError_t prefill_wgmma(const PagedAttention& p, const AttentionDevice& device, unsigned* counters,
                          cudaStream_t stream) {
  if (max_query_tiles(p.num_tokens, p.num_seqs, p.group()) == 0) return cudaSuccess;
  return p.head_dim == 64 ? launch_prefill<64>(p, device, counters, stream)
                          : launch_prefill<128>(p, device, counters, stream);
}

}  // namespace pegainfer::cuda

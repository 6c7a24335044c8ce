#include <algorithm>

#include "kernels/cuda/attention/decode_heads.cuh"
#include "kernels/cuda/attention/decode_parts.cuh"
#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"

// The decode kernel of larger batches. A CTA takes (split, KV head) items of the step's list; an item's first
// tiles are under way while the one before it is gathered. The splits of a sequence meet in global memory:
// the CTA that arrives last, by a counter that it leaves at 0, adds them up in order. No CTA waits for
// another.

namespace pegainfer::cuda {
namespace {

// Where a split's results wait for the others: [chunk][head][head_dim] outputs, then [chunk][head] maxima and
// sums.
template <int kHeadDim>
struct Partials {
  float4* out;
  float2* state;
  int num_heads;
  __device__ float4* out_at(int chunk, int head) const {
    return out + (int64_t{chunk} * num_heads + head) * (kHeadDim / 4);
  }
  __device__ float2* state_at(int chunk, int head) const { return state + int64_t{chunk} * num_heads + head; }
};

// warm_tiles() of this CTA's first item.
template <int kHeadDim, int kStages>
__device__ __forceinline__ void warm_l2(const PagedAttention& p, const DecodeWork& work, const Items& items) {
  using S = Shape<kHeadDim, kStages>;
  const int i = static_cast<int>(blockIdx.x);
  if (i / items.columns >= max_chunks(p.num_seqs)) return;
  const DecodeChunk chunk = read_chunk(work.chunks + i / items.columns);
  if (i / items.columns >= __ldcg(work.num_chunks) || chunk.sequence < 0 || chunk.sequence >= p.num_seqs)
    return;
  const Item item = items.item<S::kWarps>(p, i, chunk);
  warm_tiles<kHeadDim, S::kWarps>(p, item);
}

// Adds up the splits of the item's sequence, in order. `shared`: each warp's first keys take the weights of
// its heads.
template <int kHeadDim, int kStages>
__device__ __forceinline__ void gather_splits(const PagedAttention& p, const Item& item, float* shared,
                                              const Partials<kHeadDim>& partials) {
  using S = Shape<kHeadDim, kStages>;
  constexpr int kRing = S::kRingBytes / 4;
  constexpr int kAhead = 16;  // partial results on their way together, the first of them before their weights
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int splits = item.chunk.splits;
  const int chunk0 = item.index - item.chunk.split;
  const int outputs = item.heads * (kHeadDim / 4);
  const auto weights = [&](int head) {
    return shared + head % S::kWarps * kRing + head / S::kWarps * kMaxSplits;
  };
  float4 ahead[kAhead];
  const auto fetch = [&](int i, int s0) {
#pragma unroll
    for (int s = 0; s < kAhead; ++s) {
      if (i < outputs && s0 + s < splits)
        ahead[s] =
            __ldcg(partials.out_at(chunk0 + s0 + s, item.head + i / (kHeadDim / 4)) + i % (kHeadDim / 4));
    }
  };
  fetch(static_cast<int>(threadIdx.x), 0);
  for (int head = warp; head < item.heads; head += S::kWarps) {
    float most = -INFINITY;
    float total = 0.0F;
    for (int s = lane; s < splits; s += 32) {
      const float2 state = __ldcg(partials.state_at(chunk0 + s, item.head + head));
      const float larger = fmaxf(most, state.x);
      total = total * fast_exp2(most - larger) + state.y * fast_exp2(state.x - larger);
      most = larger;
      weights(head)[s] = state.x;
    }
    const float largest = warp_max(most);
    total = warp_sum(lane < splits ? total * fast_exp2(most - largest) : 0.0F);
    for (int s = lane; s < splits; s += 32) weights(head)[s] = fast_exp2(weights(head)[s] - largest) / total;
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < outputs; i += S::kThreads) {
    const int head = i / (kHeadDim / 4);
    float4 out{0.0F, 0.0F, 0.0F, 0.0F};
    for (int s0 = 0; s0 < splits; s0 += kAhead) {
      if (s0 > 0 || i >= S::kThreads) fetch(i, s0);
#pragma unroll
      for (int s = 0; s < kAhead; ++s) {
        if (s0 + s >= splits) break;
        const float weight = weights(head)[s0 + s];
        out.x += weight * ahead[s].x;
        out.y += weight * ahead[s].y;
        out.z += weight * ahead[s].z;
        out.w += weight * ahead[s].w;
      }
    }
    store_row<kHeadDim>(p, item.chunk.row, item.head + head, i % (kHeadDim / 4), out);
  }
  __syncthreads();
}

// Whether this CTA is the last of the splits to arrive. One thread's fence is enough for what the others
// wrote before the barrier: fences are cumulative.
__device__ __forceinline__ bool arrives_last(unsigned* counter, int splits, int* shared_flag) {
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    *shared_flag = static_cast<int>(atomicInc(counter, static_cast<unsigned>(splits - 1)) ==
                                    static_cast<unsigned>(splits - 1));  // which sets it to 0
    __threadfence();
  }
  __syncthreads();
  return *shared_flag != 0;
}

template <int kHeadDim, int kStages, bool kWithHeads>
__global__ void __launch_bounds__(Shape<kHeadDim, kStages>::kThreads, 2)
    decode_kernel(const __grid_constant__ PagedAttention p, const __grid_constant__ DecodeWork work,
                  const __grid_constant__ QkNormRopeParams heads) {
  using S = Shape<kHeadDim, kStages>;
  extern __shared__ __align__(16) float shared[];
  __shared__ int last_flag;
  __shared__ int taken;
  const Items items(p);
  const Partials<kHeadDim> partials{
      reinterpret_cast<float4*>(work.partials),
      reinterpret_cast<float2*>(work.partials + int64_t{max_chunks(p.num_seqs)} * p.num_heads * kHeadDim),
      p.num_heads};
  unsigned char* ring = reinterpret_cast<unsigned char*>(shared) + threadIdx.x / 32 * S::kRingBytes;
  Loader<kHeadDim, kStages, kWithHeads> loader{p, shared_address(ring)};
  NormWeights q_norm;
  if constexpr (kWithHeads) load_norm<kHeadDim>(heads.q_norm, q_norm);

  const int last_chunk = max_chunks(p.num_seqs) - 1;
  int i = static_cast<int>(blockIdx.x);
  DecodeChunk chunk;
  int count = 0;
  Item item;
  const auto first_item = [&] {
    // The chunk is read beside the number of chunks, so it may be none.
    chunk = read_chunk(work.chunks + min(i / items.columns, last_chunk));
    count = __ldcg(work.num_chunks) * items.columns;
    if (i >= count) return;
    item = items.item<S::kWarps>(p, i, chunk);
    loader.begin(item);
  };
  // The newest position is not read from the cache; the others may be copied before the wait.
  const bool early = kWithHeads && work.settled;
  let_next_start();
  if (early) {
    first_item();
  } else {
    warm_l2<kHeadDim, kStages>(p, work, items);
  }
  wait_for_previous();
  if (!early) first_item();
  if (i >= count) return;
  const int ctas = static_cast<int>(gridDim.x);
  int next = i + ctas;
  while (true) {
    // The item after the next, whoever is quicker; on its way while this one is computed.
    if (threadIdx.x == 0 && next < count) taken = 2 * ctas + static_cast<int>(atomicAdd(work.taken, 1U));
    if (next < count) chunk = read_chunk(work.chunks + next / items.columns);
    Sums<kHeadDim> sums;
    uint32_t q[kHeadDim / 16][2];
    if constexpr (kWithHeads) {
      Newest newest;
      make_heads<kHeadDim, kStages>(heads, item, items.group, q_norm, ring, q, newest);
      sum_tiles<kHeadDim, kStages>(
          p, item, loader, q,
          [&](int tile, uint32_t stage) {
            if (tile == newest.tile) place_newest<kHeadDim, kStages>(newest, item, ring + stage);
          },
          sums);
    } else {
      load_queries<kHeadDim>(p, item, q);
      sum_tiles<kHeadDim, kStages>(
          p, item, loader, q, [](int, uint32_t) {}, sums);
    }
    const Item done = item;
    if (next < count) {
      item = items.item<S::kWarps>(p, next, chunk);
      loader.begin(item);
    }
    const bool empty = done.chunk.tile_begin == done.chunk.tile_end;
    gather_warps<kHeadDim, kStages>(
        done, shared, sums, [&](int head, int d4, float4 out, float most, float total) {
          head += done.head;
          if (done.chunk.splits > 1) {
            __stcg(partials.out_at(done.index, head) + d4, out);
            if (d4 == 0) __stcg(partials.state_at(done.index, head), float2{most, total});
          } else {
            store_row<kHeadDim>(p, done.chunk.row, head, d4, out, empty ? 0.0F : 1.0F / total);
          }
        });
    if (done.chunk.splits > 1 &&
        arrives_last(work.counters + done.chunk.sequence * items.columns + i % items.columns,
                     done.chunk.splits, &last_flag))
      gather_splits<kHeadDim, kStages>(p, done, shared, partials);
    if (next >= count) break;
    i = next;
    next = taken;  // the barriers of gathering are behind it
    __syncthreads();
  }
  // The last CTA leaves both words 0. When there were no items for all, none was taken.
  if (count > ctas && threadIdx.x == 0 && atomicInc(work.taken + 1, gridDim.x - 1) == gridDim.x - 1)
    atomicExch(work.taken, 0U);
}

// `heads`: null for queries, keys and values that are ready.
template <int kHeadDim, int kStages>
cudaError_t launch_decode(const PagedAttention& p, const QkNormRopeParams* heads, const DecodeWork& work,
                          const AttentionDevice& device, cudaStream_t stream) {
  using S = Shape<kHeadDim, kStages>;
  if constexpr (kStages > 2) {  // two CTAs an SM first, then depth
    if (S::kSharedBytes > static_cast<int>(device.shared_bytes_per_block) / 2)
      return launch_decode<kHeadDim, 2>(p, heads, work, device, stream);
  }
  const int per_sm = ctas_per_sm(kHeadDim, p.num_seqs);
  const Launch how{.grid = dim3(static_cast<unsigned>(device.num_sms * per_sm)),
                   .block = dim3(S::kThreads),
                   .shared_bytes = S::kSharedBytes,
                   .stream = stream};
  if constexpr (can_fuse_heads(kHeadDim)) {
    if (heads != nullptr) return launch(how, decode_kernel<kHeadDim, kStages, true>, p, work, *heads);
  }
  if (heads != nullptr) return cudaErrorInvalidValue;  // has_decode_with_heads() was not asked
  return launch(how, decode_kernel<kHeadDim, kStages, false>, p, work, QkNormRopeParams{});
}

}  // namespace

cudaError_t decode_attention(const PagedAttention& p, const QkNormRopeParams* heads, const DecodeWork& work,
                             const AttentionDevice& device, cudaStream_t stream) {
  if (p.num_seqs == 0) return cudaSuccess;
  switch (p.head_dim) {
    case 64: return launch_decode<64, 4>(p, heads, work, device, stream);
    case 80: return launch_decode<80, 4>(p, heads, work, device, stream);
    case 96: return launch_decode<96, 3>(p, heads, work, device, stream);
    case 128: return launch_decode<128, 3>(p, heads, work, device, stream);
    case 256: return launch_decode<256, 3>(p, heads, work, device, stream);
    default: return cudaErrorInvalidValue;
  }
}

bool has_decode_with_heads(const PagedAttention& p, const QkNormRopeParams& heads,
                           const AttentionDevice& device) {
  const int64_t items = int64_t{p.num_seqs} * p.num_kv_heads * head_parts(p.group());
  return can_fuse_heads(p.head_dim) && has_tensor_path(p) && rope_in_vectors(heads) && heads.store &&
         p.num_tokens == p.num_seqs && p.num_seqs > 1 && items <= device.num_sms;
}

}  // namespace pegainfer::cuda

#include <algorithm>

#include "kernels/cuda/attention/decode.h"
#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"

namespace pegainfer::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;

// Sum of v over the threads before this one; `total` is that of all.
__device__ int sum_before(int v, int* warp_sums, int& total) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  int sum = v;
#pragma unroll
  for (int offset = 1; offset < 32; offset *= 2) {
    const int left = __shfl_up_sync(0xffffffffU, sum, offset);
    if (lane >= offset) sum += left;
  }
  if (lane == 31) warp_sums[warp] = sum;
  __syncthreads();
  int before = sum - v;
  total = 0;
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) before += warp_sums[w];
    total += warp_sums[w];
  }
  __syncthreads();
  return before;
}

constexpr int kClasses = 3;

// Long splits first, so that the short ones fill the gaps at the end: by tiles of a split.
__device__ int class_of(int tiles) { return tiles >= 48 ? 0 : tiles >= 16 ? 1 : 2; }

struct Sequence {
  DecodeChunk chunk;  // what its entries have in common
  int order = kClasses - 1;
};

__device__ Sequence look_at(const DecodePlan& plan, int s) {
  Sequence q;
  if (s >= plan.rule.num_seqs) return q;
  const int row = plan.query_start[s];
  const bool decodes = plan.query_start[s + 1] - row == 1;
  q.chunk.sequence = s;
  q.chunk.row = row;
  q.chunk.context = max(0, plan.context_len[s]);
  q.chunk.splits = decodes ? num_splits(q.chunk.context, plan.rule) : 0;
  const ContextTiles tiles = seen_tiles(q.chunk.context, plan.rule.window);
  q.order = class_of((tiles.end - tiles.begin) / max(1, q.chunk.splits));
  return q;
}

// One CTA: counts the entries of each class, then takes 256 sequences at a time, places the splits of each
// behind those of the sequences before it in its class, and the threads write the entries in turn.
__global__ void __launch_bounds__(kThreads) plan_decode_kernel(DecodePlan plan) {
  __shared__ int warp_sums[kWarps];
  __shared__ int counts[kClasses];
  __shared__ DecodeChunk sequences[kThreads];
  __shared__ int firsts[kThreads];  // in order of sequences
  __shared__ int places[kThreads];  // in the list
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < kClasses) counts[thread] = 0;
  __syncthreads();
  wait_for_previous();
  let_next_start();

  for (int s = thread; s < plan.rule.num_seqs; s += kThreads) {
    const Sequence q = look_at(plan, s);
    if (q.chunk.splits > 0) atomicAdd(&counts[q.order], q.chunk.splits);
  }
  __syncthreads();
  int next[kClasses] = {0, counts[0], counts[0] + counts[1]};
  if (thread == 0) *plan.num_chunks = next[2] + counts[2];

  for (int base = 0; base < plan.rule.num_seqs; base += kThreads) {
    const Sequence q = look_at(plan, base + thread);
    int total = 0;
    firsts[thread] = sum_before(q.chunk.splits, warp_sums, total);
    sequences[thread] = q.chunk;
#pragma unroll
    for (int c = 0; c < kClasses; ++c) {
      int of_class = 0;
      const int before = sum_before(q.order == c ? q.chunk.splits : 0, warp_sums, of_class);
      if (q.order == c) places[thread] = next[c] + before;
      next[c] += of_class;
    }
    __syncthreads();
    for (int at = thread; at < total; at += kThreads) {
      int low = 0;  // the last sequence that starts at or before the entry: one with splits
      for (int step = kThreads / 2; step > 0; step /= 2) {
        if (firsts[low + step] <= at) low += step;
      }
      DecodeChunk entry = sequences[low];
      const ContextTiles tiles = seen_tiles(entry.context, plan.rule.window);
      entry.split = at - firsts[low];
      entry.tile_begin = split_begin(tiles, entry.split, entry.splits);
      entry.tile_end = split_begin(tiles, entry.split + 1, entry.splits);
      plan.chunks[places[low] + entry.split] = entry;
    }
    __syncthreads();
  }
}

__global__ void settle_kernel() {
  wait_for_previous();
  let_next_start();
}

}  // namespace

cudaError_t settle(cudaStream_t stream) {
  return launch({.grid = dim3(1), .block = dim3(32), .stream = stream}, settle_kernel);
}

cudaError_t plan_decode(const DecodePlan& plan, cudaStream_t stream) {
  return launch({.grid = dim3(1), .block = dim3(kThreads), .stream = stream}, plan_decode_kernel, plan);
}

}  // namespace pegainfer::cuda

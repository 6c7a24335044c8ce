#include <algorithm>

#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"

// A CTA a query row and head: scores of 128 positions at a time, one a thread, online softmax, then one
// output element a thread. No alignment or divisibility is asked for.

namespace pegainfer::cuda {
namespace {

constexpr int kThreads = 128;

struct Row {
  int sequence = -1;
  int seen_end = 0;  // positions [.., seen_end)
};

__device__ Row find_row(const PagedAttention& p, int row) {
  int low = 0;  // the last sequence that starts at or before the row
  int high = p.num_seqs;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (p.query_start[middle] <= row) {
      low = middle;
    } else {
      high = middle;
    }
  }
  // Of sequences without a row that start at the same place, the last one has it.
  const int end = p.query_start[low + 1];
  if (row >= end) return {};
  return {low, p.context_len[low] - (end - row) + 1};
}

template <class Kv>
__device__ const Kv* key_of(const PagedAttention& p, const Row& row, int position, int kv_head) {
  const int block = p.block_table[row.sequence * p.table_stride + position / p.block_size];
  const int64_t tile = int64_t{block} * 2 * p.num_kv_heads + kv_head;
  return static_cast<const Kv*>(p.kv) + (tile * p.block_size + position % p.block_size) * p.head_dim;
}

__device__ float block_max(float v, float* shared) {
  const int thread = static_cast<int>(threadIdx.x);
  v = warp_max(v);
  if (thread % 32 == 0) shared[thread / 32] = v;
  __syncthreads();
  v = shared[0];
  for (int w = 1; w < kThreads / 32; ++w) v = fmaxf(v, shared[w]);
  __syncthreads();
  return v;
}

template <class T, class Kv>
__global__ void __launch_bounds__(kThreads) plain_kernel(PagedAttention p) {
  extern __shared__ float shared[];
  float* q = shared;                // [head_dim]
  float* out = q + p.head_dim;      // [head_dim]
  float* probs = out + p.head_dim;  // [kThreads]
  __shared__ float scratch[32];
  const int thread = static_cast<int>(threadIdx.x);
  const int index = static_cast<int>(blockIdx.x) / p.num_heads;
  const int head = static_cast<int>(blockIdx.x) % p.num_heads;
  const int kv_head = head / p.group();
  const int64_t v_offset = int64_t{p.num_kv_heads} * p.block_size * p.head_dim;
  wait_for_previous();
  let_next_start();

  const Row row = find_row(p, index);
  const T* from = static_cast<const T*>(p.q) + index * p.q_stride + int64_t{head} * p.head_dim;
  for (int d = thread; d < p.head_dim; d += kThreads) {
    q[d] = to_float(from[d]);
    out[d] = 0.0F;
  }
  __syncthreads();
  float most = -INFINITY;
  float total = 0.0F;
  const int first = p.window > 0 ? max(0, row.seen_end - p.window) : 0;
  for (int base = first; base < row.seen_end; base += kThreads) {
    const int position = base + thread;
    float score = -INFINITY;
    if (position < row.seen_end) {
      const Kv* k = key_of<Kv>(p, row, position, kv_head);
      float dot = 0.0F;
      for (int d = 0; d < p.head_dim; ++d) dot += q[d] * to_float(k[d]);
      score = dot * p.scale;
    }
    const float larger = fmaxf(most, block_max(score, scratch));
    const float prob = position < row.seen_end ? expf(score - larger) : 0.0F;
    const float shrink = expf(most - larger);
    most = larger;
    probs[thread] = prob;
    total = total * shrink + block_sum(prob, scratch);
    const int count = min(kThreads, row.seen_end - base);
    for (int d = thread; d < p.head_dim; d += kThreads) {
      float sum = 0.0F;
      for (int i = 0; i < count; ++i)
        sum += probs[i] * to_float((key_of<Kv>(p, row, base + i, kv_head) + v_offset)[d]);
      out[d] = out[d] * shrink + sum;
    }
    __syncthreads();
  }
  T* to = static_cast<T*>(p.out) + index * p.out_stride + int64_t{head} * p.head_dim;
  for (int d = thread; d < p.head_dim; d += kThreads)
    to[d] = from_float<T>(row.seen_end > 0 ? out[d] / total : 0.0F);
}

template <class T, class Kv>
cudaError_t launch_plain(const PagedAttention& p, cudaStream_t stream) {
  return launch({.grid = dim3(static_cast<unsigned>(p.num_tokens) * static_cast<unsigned>(p.num_heads)),
                 .block = dim3(kThreads),
                 .shared_bytes = static_cast<size_t>(2 * p.head_dim + kThreads) * sizeof(float),
                 .stream = stream},
                plain_kernel<T, Kv>, p);
}

}  // namespace

bool has_tensor_head_dim(int head_dim) {
  return head_dim == 64 || head_dim == 80 || head_dim == 96 || head_dim == 128 || head_dim == 256;
}

bool has_tensor_path(const PagedAttention& p) {
  const auto aligned = [](const void* pointer, int64_t stride) {
    return reinterpret_cast<uintptr_t>(pointer) % 16 == 0 && stride % 8 == 0;
  };
  return p.dtype == DType::kBF16 && p.kv_dtype == DType::kBF16 && has_tensor_head_dim(p.head_dim) &&
         aligned(p.q, p.q_stride) && aligned(p.out, p.out_stride) && aligned(p.kv, 0);
}

cudaError_t plain_attention(const PagedAttention& p, cudaStream_t stream) {
  if (p.num_tokens == 0 || p.num_heads == 0) return cudaSuccess;
  const bool wide_kv = p.kv_dtype == DType::kF32;
  if (p.dtype == DType::kF32)
    return wide_kv ? launch_plain<float, float>(p, stream) : launch_plain<float, __nv_bfloat16>(p, stream);
  return wide_kv ? launch_plain<__nv_bfloat16, float>(p, stream)
                 : launch_plain<__nv_bfloat16, __nv_bfloat16>(p, stream);
}

}  // namespace pegainfer::cuda

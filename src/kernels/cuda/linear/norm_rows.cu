#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"
#include "kernels/cuda/linear/norm_rows.h"

namespace pegainfer::cuda {
namespace {

// Few threads, hardly any shared memory: this kernel stands on an SM beside two products (the one that drains
// and the one whose rings fill), and what it took too much of would keep the second one away.
constexpr int kThreads = 128;
constexpr int kHeld = 3;  // pieces of 8 columns that a thread keeps in registers; longer rows are read twice

__device__ __forceinline__ void load_weights(const float* norm, int piece, float (&to)[8]) {
  const float4 a = __ldg(reinterpret_cast<const float4*>(norm + 8 * piece));
  const float4 b = __ldg(reinterpret_cast<const float4*>(norm + 8 * piece + 4));
  to[0] = a.x, to[1] = a.y, to[2] = a.z, to[3] = a.w;
  to[4] = b.x, to[5] = b.y, to[6] = b.z, to[7] = b.w;
}

__device__ __forceinline__ void add_squares(const uint4& raw, float& sum) {
  float v[8];
  unpack(raw, v);
#pragma unroll
  for (int i = 0; i < 8; ++i) sum = fmaf(v[i], v[i], sum);
}

__device__ __forceinline__ uint4 normalised(const uint4& raw, float scale, const float (&weight)[8]) {
  float v[8];
  unpack(raw, v);
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = rounded<__nv_bfloat16>(v[i] * scale) * weight[i];
  return pack(v);
}

__global__ void __launch_bounds__(kThreads, 8) norm_rows_kernel(const __grid_constant__ NormRowsParams p) {
  __shared__ float sums[32];
  const int thread = static_cast<int>(threadIdx.x);
  const int pieces = p.cols / 8;
  float weights[kHeld][8] = {};
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    if (thread + i * kThreads < pieces) load_weights(p.norm, thread + i * kThreads, weights[i]);
  }
  let_next_start();
  wait_for_previous();
  const int64_t row = blockIdx.x;
  const uint4* x = reinterpret_cast<const uint4*>(static_cast<const __nv_bfloat16*>(p.x) + row * p.x_stride);
  uint4* out = reinterpret_cast<uint4*>(static_cast<__nv_bfloat16*>(p.out) + row * p.out_stride);
  uint4 held[kHeld] = {};
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    if (thread + i * kThreads < pieces) held[i] = __ldcg(x + thread + i * kThreads);
  }
  float squares = 0;
#pragma unroll
  for (int i = 0; i < kHeld; ++i) add_squares(held[i], squares);
  for (int piece = thread + kHeld * kThreads; piece < pieces; piece += kThreads)
    add_squares(__ldcg(x + piece), squares);
  const float scale = rsqrtf(block_sum(squares, sums) / static_cast<float>(p.cols) + p.eps);
#pragma unroll
  for (int i = 0; i < kHeld; ++i) {
    const int piece = thread + i * kThreads;
    if (piece < pieces) out[piece] = normalised(held[i], scale, weights[i]);
  }
  for (int piece = thread + kHeld * kThreads; piece < pieces; piece += kThreads) {
    float w[8];
    load_weights(p.norm, piece, w);
    out[piece] = normalised(__ldcg(x + piece), scale, w);
  }
}

}  // namespace

cudaError_t norm_rows(const NormRowsParams& params, cudaStream_t stream) {
  if (params.rows == 0) return cudaSuccess;
  // Beside a streaming product on the same SM: the division of its memory that one needs has to suit both.
  static const cudaError_t prepared = cudaFuncSetAttribute(
      norm_rows_kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
  if (prepared != cudaSuccess) return prepared;
  return launch({.grid = dim3(static_cast<unsigned>(params.rows)), .block = dim3(kThreads), .stream = stream},
                norm_rows_kernel, params);
}

}  // namespace pegainfer::cuda

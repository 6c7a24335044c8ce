// RMSNorm of BF16 rows inside a CTA of 256 threads. The streaming product's prologue and the kernel that
// writes normalised rows share it, so that a row has the same bits whichever of them a batch size takes.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/vec.cuh"

namespace pegainfer::cuda {

inline constexpr int kNormThreads = 256;
inline constexpr int kNormWarps = kNormThreads / 32;

__device__ __forceinline__ uint4 normalised(const uint4& raw, float scale, const float (&weight)[8]) {
  float v[8];
  unpack(raw, v);
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = rounded<__nv_bfloat16>(v[i] * scale) * weight[i];
  return pack(v);
}

// The norm's weights of the first pieces a thread has: fetched before the wait for the kernel before.
template <int kPieces>
struct NormWeights {
  float w[kPieces][8];

  __device__ __forceinline__ void load(const float* norm, int cols, int piece, float (&to)[8]) const {
    if (8 * piece >= cols) return;
    const float4 a = __ldg(reinterpret_cast<const float4*>(norm + 8 * piece));
    const float4 b = __ldg(reinterpret_cast<const float4*>(norm + 8 * piece + 4));
    to[0] = a.x, to[1] = a.y, to[2] = a.z, to[3] = a.w;
    to[4] = b.x, to[5] = b.y, to[6] = b.z, to[7] = b.w;
  }
  __device__ __forceinline__ void load_first(const float* norm, int cols) {
#pragma unroll
    for (int i = 0; i < kPieces; ++i)
      load(norm, cols, static_cast<int>(threadIdx.x) + i * kNormThreads, w[i]);
  }
};

__device__ __forceinline__ void add_squares(const uint4& raw, float& sum) {
  float v[8];
  unpack(raw, v);
#pragma unroll
  for (int i = 0; i < 8; ++i) sum = fmaf(v[i], v[i], sum);
}

// 1 / rms of the rows whose sums of squares the threads hold parts of: thread t those of pieces t, t +
// kNormThreads, ... in this order. sums: [kRows][kNormWarps] in shared memory, read by all afterwards.
template <int kRows>
__device__ __forceinline__ void row_scales(const float (&squares)[kRows], int cols, float eps, float* sums,
                                           float (&scales)[kRows]) {
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    const float sum = warp_sum(squares[r]);
    if (thread % 32 == 0) sums[r * kNormWarps + thread / 32] = sum;
  }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kNormWarps; ++w) sum += sums[r * kNormWarps + w];
    scales[r] = rsqrtf(sum / static_cast<float>(cols) + eps);
  }
}

}  // namespace pegainfer::cuda

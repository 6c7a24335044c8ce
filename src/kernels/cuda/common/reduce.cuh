// Sums and maxima over a warp or a CTA, in one fixed order: the same bits whatever else runs.
#pragma once

namespace pegainfer::cuda {

__device__ __forceinline__ float warp_sum(float v) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffU, v, offset);
  return v;
}

__device__ __forceinline__ float warp_max(float v) {
#pragma unroll
  for (int offset = 16; offset > 0; offset /= 2) v = fmaxf(v, __shfl_xor_sync(0xffffffffU, v, offset));
  return v;
}

// Of all threads of the CTA (a multiple of 32, at most 1024); every thread gets it. `shared`: 32 floats that
// nothing else uses meanwhile; free again after the next barrier.
__device__ __forceinline__ float block_sum(float v, float* shared) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warps = static_cast<int>(blockDim.x) / 32;
  v = warp_sum(v);
  if (lane == 0) shared[warp] = v;
  __syncthreads();
  v = lane < warps ? shared[lane] : 0.0F;
  return warp_sum(v);
}

}  // namespace pegainfer::cuda

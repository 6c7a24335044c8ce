// One head's norm and rotation: a few lanes hold it, each 8 columns of the first half and the 8 that they
// turn with.
#pragma once

#include "kernels/cuda/common/vec.cuh"

namespace pegainfer::cuda {

// (a, b) -> (a cos - b sin, b cos + a sin), each product and the sum rounded.
template <class T>
__device__ __forceinline__ void turn(float& a, float& b, float cos, float sin) {
  const float turned_a = rounded<T>(__fadd_rn(rounded<T>(__fmul_rn(a, cos)), -rounded<T>(__fmul_rn(b, sin))));
  const float turned_b = rounded<T>(__fadd_rn(rounded<T>(__fmul_rn(b, cos)), rounded<T>(__fmul_rn(a, sin))));
  a = turned_a;
  b = turned_b;
}

template <int kLanes>
__device__ __forceinline__ float lanes_sum(float v) {
#pragma unroll
  for (int offset = kLanes / 2; offset > 0; offset /= 2) v += __shfl_xor_sync(0xffffffffU, v, offset, kLanes);
  return v;
}

// The head's sum of squares, in every lane of it. All lanes of the warp take part.
template <int kLanes>
__device__ __forceinline__ float squares_of(const float (&a)[8], const float (&b)[8]) {
  float squares = 0;
#pragma unroll
  for (int i = 0; i < 8; ++i) squares = fmaf(a[i], a[i], fmaf(b[i], b[i], squares));
  return lanes_sum<kLanes>(squares);
}

__device__ __forceinline__ float norm_scale(float squares, int head_dim, float eps) {
  return 1.0F / sqrtf(squares / static_cast<float>(head_dim) + eps);
}

__device__ __forceinline__ void load_8(const float* from, float (&to)[8]) {
  const float4 low = reinterpret_cast<const float4*>(from)[0];
  const float4 high = reinterpret_cast<const float4*>(from)[1];
  to[0] = low.x, to[1] = low.y, to[2] = low.z, to[3] = low.w;
  to[4] = high.x, to[5] = high.y, to[6] = high.z, to[7] = high.w;
}

__device__ __forceinline__ void normalise(float (&x)[8], float scale, const float (&weight)[8]) {
#pragma unroll
  for (int i = 0; i < 8; ++i) x[i] = rounded<__nv_bfloat16>(rounded<__nv_bfloat16>(x[i] * scale) * weight[i]);
}

}  // namespace pegainfer::cuda

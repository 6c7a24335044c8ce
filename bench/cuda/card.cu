#include <cuda_bf16.h>

#include "card.h"

namespace pegainfer::bench {
namespace {

__global__ void fill_kernel(__nv_bfloat16* p, size_t n, unsigned seed, float scale) {
  const size_t stride = static_cast<size_t>(gridDim.x) * blockDim.x;
  for (size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x; i < n; i += stride) {
    unsigned h = static_cast<unsigned>(i * 2654435761U) ^ seed;
    h ^= h >> 16U, h *= 0x85ebca6bU, h ^= h >> 13U, h *= 0xc2b2ae35U, h ^= h >> 16U;
    p[i] = __float2bfloat16(static_cast<float>(static_cast<int>(h)) * 0x1p-31F * scale);
  }
}

__global__ void read_kernel(const uint4* p, size_t n, unsigned* sink) {
  const size_t stride = static_cast<size_t>(gridDim.x) * blockDim.x;
  size_t i = blockIdx.x * static_cast<size_t>(blockDim.x) + threadIdx.x;
  unsigned sum = 0;
  for (; i + 7 * stride < n; i += 8 * stride) {
    uint4 v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = __ldcs(p + i + static_cast<size_t>(j) * stride);
#pragma unroll
    for (int j = 0; j < 8; ++j) sum ^= v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  for (; i < n; i += stride) sum ^= p[i].x;
  if (sum == 0x12345678U) *sink = sum;
}

}  // namespace

cudaError_t fill_noise(void* to, size_t n, unsigned seed, float scale, cudaStream_t stream) {
  fill_kernel<<<2048, 256, 0, stream>>>(static_cast<__nv_bfloat16*>(to), n, seed, scale);
  return cudaGetLastError();
}

cudaError_t read_all(const void* from, size_t bytes, int blocks, void* sink, cudaStream_t stream) {
  read_kernel<<<static_cast<unsigned>(blocks), 256, 0, stream>>>(static_cast<const uint4*>(from), bytes / 16,
                                                                 static_cast<unsigned*>(sink));
  return cudaGetLastError();
}

}  // namespace pegainfer::bench

#include <cuda_bf16.h>

#include "rows_fill.h"

namespace pegainfer {
namespace {

__device__ float noise(uint64_t x) {  // uniform in [-1, 1)
  x ^= x >> 30U, x *= 0xBF58476D1CE4E5B9U, x ^= x >> 27U, x *= 0x94D049BB133111EBU, x ^= x >> 31U;
  return static_cast<float>(x >> 40U) * 0x1p-23F - 1.0F;
}
__global__ void fill_bf16(__nv_bfloat16* to, int64_t n) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * blockDim.x)
    to[i] = __float2bfloat16(noise(static_cast<uint64_t>(i)));
}
// Bell-shaped; with `peaks`, a few tokens that stand out, as a model's rows have.
__global__ void fill_logits(float* to, int64_t n, bool peaks) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n;
       i += int64_t{gridDim.x} * blockDim.x) {
    const auto s = static_cast<uint64_t>(i) * 8;
    const float bell = noise(s) + noise(s + 1) + noise(s + 2) + noise(s + 3);
    to[i] = 2.2F * bell + (peaks && noise(s + 4) > 0.9995F ? 8 + 6 * noise(s + 5) : 0.0F);
  }
}
__global__ void copy_kernel(const uint4* from, uint4* to, int64_t n) {
  const int64_t at = (int64_t{blockIdx.x} * blockDim.x) * 4 + threadIdx.x;
  uint4 v[4];
  for (int i = 0; i < 4; ++i) v[i] = at + i * blockDim.x < n ? from[at + i * blockDim.x] : uint4{};
  for (int i = 0; i < 4; ++i) {
    if (at + i * blockDim.x < n) to[at + i * blockDim.x] = v[i];
  }
}
__global__ void read_kernel(const uint4* from, uint4* to, int64_t n) {
  const int64_t at = (int64_t{blockIdx.x} * blockDim.x) * 8 + threadIdx.x;
  uint4 v[8];
  for (int i = 0; i < 8; ++i) v[i] = at + i * blockDim.x < n ? from[at + i * blockDim.x] : uint4{};
  unsigned any = 0;
  for (int i = 0; i < 8; ++i) any |= v[i].x ^ v[i].y ^ v[i].z ^ v[i].w;
  if (any == 0x12345678U) to[at] = v[0];
}

}  // namespace

void bench_fill_bf16(void* to, int64_t n, cudaStream_t stream) {
  fill_bf16<<<4096, 256, 0, stream>>>(static_cast<__nv_bfloat16*>(to), n);
}
void bench_fill_logits(float* to, int64_t n, bool peaks, cudaStream_t stream) {
  fill_logits<<<4096, 256, 0, stream>>>(to, n, peaks);
}
void bench_copy(const void* from, void* to, int64_t n, cudaStream_t stream) {
  copy_kernel<<<static_cast<unsigned>((n + 1023) / 1024), 256, 0, stream>>>(static_cast<const uint4*>(from),
                                                                            static_cast<uint4*>(to), n);
}
void bench_read(const void* from, void* to, int64_t n, cudaStream_t stream) {
  read_kernel<<<static_cast<unsigned>((n + 2047) / 2048), 256, 0, stream>>>(static_cast<const uint4*>(from),
                                                                            static_cast<uint4*>(to), n);
}

}  // namespace pegainfer

#include <cuda_fp16.h>

#include "kernels/cuda/common/row_map.cuh"
#include "kernels/cuda/quant/dummy.h"
#include "tensor/dummy_value.h"

namespace pegainfer::cuda {
namespace {

constexpr int kThreads = 256;

template <class T, bool kThroughHalf>
__global__ void __launch_bounds__(kThreads)
    fill_dummy_kernel(int64_t count, uint64_t key, float scale, T* out) {
  constexpr int W = kVec<T>;
  wait_for_previous();
  const int64_t first = (int64_t{blockIdx.x} * kThreads + threadIdx.x) * W;
  Chunk<T, W> chunk;
#pragma unroll
  for (int i = 0; i < W; ++i) {
    float v = dummy_value(key, static_cast<uint64_t>(first + i), scale);
    if constexpr (kThroughHalf) v = __half2float(__float2half_rn(v));
    chunk.v[i] = from_float<T>(v);
  }
  if (first + W <= count) {
    *reinterpret_cast<Chunk<T, W>*>(out + first) = chunk;
  } else {
    for (int i = 0; i < W; ++i) {
      if (first + i < count) out[first + i] = chunk.v[i];
    }
  }
}

template <class T, bool kThroughHalf>
cudaError_t fill(int64_t count, uint64_t key, float scale, void* out, cudaStream_t stream) {
  const int64_t a_block = int64_t{kThreads} * kVec<T>;
  const Launch how{.grid = dim3(static_cast<unsigned>((count + a_block - 1) / a_block)),
                   .block = dim3(kThreads),
                   .stream = stream};
  return launch(how, fill_dummy_kernel<T, kThroughHalf>, count, key, scale, static_cast<T*>(out));
}

}  // namespace

cudaError_t fill_dummy(WeightFormat format, int64_t count, uint64_t key, float scale, void* out,
                       cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  if (!aligned_16(out)) return cudaErrorInvalidValue;
  switch (format) {
    case WeightFormat::kBF16: return fill<__nv_bfloat16, false>(count, key, scale, out, stream);
    case WeightFormat::kF32: return fill<float, false>(count, key, scale, out, stream);
    case WeightFormat::kF16: return fill<float, true>(count, key, scale, out, stream);
    default: return cudaErrorInvalidValue;
  }
}

}  // namespace pegainfer::cuda

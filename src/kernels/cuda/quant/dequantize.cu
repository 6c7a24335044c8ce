// A CTA takes a tile of 4096 values: its blocks come into shared memory 16 bytes at a time, whatever their
// size, and leave as 16 bytes of BF16 a thread.
#include "kernels/cuda/common/row_map.cuh"
#include "kernels/cuda/quant/blocks.cuh"
#include "kernels/cuda/quant/dequantize.h"

namespace pegainfer::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kTile = 4096;  // 128 blocks of 32 or 16 of 256: a multiple of 16 bytes in every format

template <WeightFormat kFormat>
__global__ void __launch_bounds__(kThreads)
    dequantize_kernel(const uint8_t* blocks, int64_t count, uint4* out) {
  constexpr WeightFormatInfo kInfo = info_of(kFormat);
  constexpr int kTileBytes = kTile / kInfo.block_elements * kInfo.block_bytes;
  static_assert(kTileBytes % 16 == 0);
  __shared__ __align__(16) uint8_t tile[kTileBytes];
  wait_for_previous();
  const int64_t first = int64_t{blockIdx.x} * kTile;
  const int64_t total = count / kInfo.block_elements * kInfo.block_bytes;
  const int64_t begin = int64_t{blockIdx.x} * kTileBytes;
  const auto bytes = static_cast<int>(min(int64_t{kTileBytes}, total - begin));
  const auto thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < bytes / 16; i += kThreads)
    reinterpret_cast<uint4*>(tile)[i] = reinterpret_cast<const uint4*>(blocks + begin)[i];
  for (int i = bytes / 16 * 16 + thread; i < bytes; i += kThreads) tile[i] = blocks[begin + i];
  __syncthreads();
#pragma unroll
  for (int round = 0; round < kTile / (8 * kThreads); ++round) {
    const int at = (round * kThreads + thread) * 8;
    if (first + at >= count) return;
    const uint8_t* block = tile + at / kInfo.block_elements * kInfo.block_bytes;
    float values[8];
    if constexpr (kInfo.block_elements == 32) {
      decode_32<kFormat>(block, at % 32, values);
    } else {
      decode_256<kFormat>(block, at % 256, values);
    }
    out[(first + at) / 8] = pack(values);
  }
}

template <WeightFormat kFormat>
cudaError_t dequantize_as(const void* blocks, int64_t count, void* out, cudaStream_t stream) {
  const Launch how{.grid = dim3(static_cast<unsigned>((count + kTile - 1) / kTile)),
                   .block = dim3(kThreads),
                   .stream = stream};
  return launch(how, dequantize_kernel<kFormat>, static_cast<const uint8_t*>(blocks), count,
                static_cast<uint4*>(out));
}

__global__ void __launch_bounds__(kThreads) widen_kernel(const __half* from, int64_t count, float* to) {
  wait_for_previous();
  const int64_t first = int64_t{blockIdx.x} * kTile + threadIdx.x;
#pragma unroll
  for (int i = 0; i < kTile / kThreads; ++i) {
    const int64_t at = first + i * kThreads;
    if (at < count) to[at] = __half2float(from[at]);
  }
}

}  // namespace

cudaError_t dequantize(WeightFormat format, const void* blocks, int64_t rows, int64_t cols, void* out,
                       cudaStream_t stream) {
  const int64_t count = rows * cols;
  if (count == 0) return cudaSuccess;
  if (!aligned_16(blocks) || !aligned_16(out) || cols % info_of(format).block_elements != 0)
    return cudaErrorInvalidValue;
  using enum WeightFormat;
  switch (format) {
    case kF32:
      return cudaMemcpyAsync(out, blocks, static_cast<size_t>(count) * 4, cudaMemcpyDeviceToDevice, stream);
    case kBF16:
      return cudaMemcpyAsync(out, blocks, static_cast<size_t>(count) * 2, cudaMemcpyDeviceToDevice, stream);
    case kF16: {
      const Launch how{.grid = dim3(static_cast<unsigned>((count + kTile - 1) / kTile)),
                       .block = dim3(kThreads),
                       .stream = stream};
      return launch(how, widen_kernel, static_cast<const __half*>(blocks), count, static_cast<float*>(out));
    }
    case kQ4_0: return dequantize_as<kQ4_0>(blocks, count, out, stream);
    case kQ4_1: return dequantize_as<kQ4_1>(blocks, count, out, stream);
    case kQ5_0: return dequantize_as<kQ5_0>(blocks, count, out, stream);
    case kQ5_1: return dequantize_as<kQ5_1>(blocks, count, out, stream);
    case kQ8_0: return dequantize_as<kQ8_0>(blocks, count, out, stream);
    case kQ2_K: return dequantize_as<kQ2_K>(blocks, count, out, stream);
    case kQ3_K: return dequantize_as<kQ3_K>(blocks, count, out, stream);
    case kQ4_K: return dequantize_as<kQ4_K>(blocks, count, out, stream);
    case kQ5_K: return dequantize_as<kQ5_K>(blocks, count, out, stream);
    case kQ6_K: return dequantize_as<kQ6_K>(blocks, count, out, stream);
    case kIQ4_NL: return dequantize_as<kIQ4_NL>(blocks, count, out, stream);
  }
  return cudaErrorInvalidValue;
}

}  // namespace pegainfer::cuda

// Elementwise work over [rows, units of a row], a unit being what one thread loads at once (16 bytes where
// alignment allows). A Body is a small struct with
//   struct In;  In load(row, unit) const;  void store(row, unit, const In&) const;
// so that several loads of a thread are on their way before the first is used.
#pragma once

#include <cstdint>

#include "kernels/cuda/common/divide.h"
#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"
#include "kernels/cuda/common/vec.cuh"

namespace pegainfer::cuda {

// W elements that are loaded and stored together.
template <class T, int W>
struct alignas(W * sizeof(T)) Chunk {
  T v[W];
};

inline bool aligned_16(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

// Whether rows of `cols` elements of `bytes` bytes, `stride` elements apart, are whole 16-byte units.
inline bool in_units_of_16(const void* p, int64_t cols, int64_t stride, int64_t bytes) {
  return aligned_16(p) && cols * bytes % 16 == 0 && stride * bytes % 16 == 0;
}

template <int kUnroll, class Body>
__global__ void __launch_bounds__(256) row_map_kernel(Body body, uint32_t count, Divider units) {
  let_next_start();
  wait_for_previous();
  const uint32_t first = blockIdx.x * (blockDim.x * kUnroll) + threadIdx.x;
  uint32_t row[kUnroll];
  uint32_t unit[kUnroll];
  typename Body::In in[kUnroll];
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    const uint32_t at = first + static_cast<uint32_t>(i) * blockDim.x;
    units.divide(at, row[i], unit[i]);
    if (at < count) in[i] = body.load(row[i], unit[i]);
  }
#pragma unroll
  for (int i = 0; i < kUnroll; ++i) {
    if (first + static_cast<uint32_t>(i) * blockDim.x < count) body.store(row[i], unit[i], in[i]);
  }
}

template <class Body>
cudaError_t launch_row_map(const Body& body, int64_t rows, int64_t units, cudaStream_t stream) {
  const int64_t count = rows * units;
  if (count == 0) return cudaSuccess;
  if (count >= int64_t{1} << 30) return cudaErrorInvalidValue;
  constexpr int64_t kMany = 1 << 18;  // units, so that there are several waves of CTAs either way
  const int64_t threads = count < kMany ? 128 : 256;
  const int64_t a_block = threads * (count < kMany ? 1 : 4);
  const Launch how{.grid = dim3(static_cast<unsigned>((count + a_block - 1) / a_block)),
                   .block = dim3(static_cast<unsigned>(threads)),
                   .stream = stream};
  const auto n = static_cast<uint32_t>(count);
  const Divider divider(static_cast<uint32_t>(units));
  return count < kMany ? launch(how, row_map_kernel<1, Body>, body, n, divider)
                       : launch(how, row_map_kernel<4, Body>, body, n, divider);
}

}  // namespace pegainfer::cuda

#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"
#include "kernels/cuda/common/vec.cuh"
#include "kernels/cuda/linear/generic_linear.h"

namespace pegainfer::cuda {
namespace {

constexpr int kTile = 64;   // rows of x and of w of a CTA
constexpr int kDepth = 16;  // columns at a time
constexpr int kThreads = 256;
constexpr int kPitch = kTile + 4;

// Columns [col, col + kDepth) of 64 rows from `first` on, transposed; zeros outside.
template <class T>
__device__ __forceinline__ void fill_tile(const T* from, int64_t stride, int first, int rows, int col,
                                          int cols, float (&to)[kDepth][kPitch]) {
#pragma unroll
  for (int i = 0; i < kTile * kDepth / kThreads; ++i) {
    const int at = static_cast<int>(threadIdx.x) + i * kThreads;
    const int r = at / kDepth;
    const int c = at % kDepth;
    const bool inside = first + r < rows && col + c < cols;
    to[c][r] = inside ? to_float(from[static_cast<int64_t>(first + r) * stride + col + c]) : 0.0F;
  }
}

// One order of additions for every output: column by column.
template <class X, class W, class Out>
__global__ void __launch_bounds__(kThreads)
    generic_linear_kernel(const __grid_constant__ GenericLinearParams p) {
  __shared__ float xs[kDepth][kPitch];
  __shared__ float ws[kDepth][kPitch];
  let_next_start();
  wait_for_previous();
  const int n0 = static_cast<int>(blockIdx.x) * kTile;
  const int m0 = static_cast<int>(blockIdx.y) * kTile;
  const int tn = static_cast<int>(threadIdx.x) % 16;
  const int tm = static_cast<int>(threadIdx.x) / 16;
  float acc[4][4] = {};
  for (int col = 0; col < p.cols; col += kDepth) {
    fill_tile(static_cast<const X*>(p.x), p.x_stride, m0, p.rows, col, p.cols, xs);
    fill_tile(static_cast<const W*>(p.w), p.cols, n0, p.n, col, p.cols, ws);
    __syncthreads();
#pragma unroll
    for (int c = 0; c < kDepth; ++c) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) acc[i][j] = fmaf(xs[c][tm + 16 * i], ws[c][tn + 16 * j], acc[i][j]);
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int m = m0 + tm + 16 * i;
      const int n = n0 + tn + 16 * j;
      if (m >= p.rows || n >= p.n) continue;
      const float bias = p.bias != nullptr ? p.bias[n] : 0.0F;
      static_cast<Out*>(p.out)[m * p.out_stride + n] = from_float<Out>(acc[i][j] + bias);
    }
  }
}

template <class X, class W>
cudaError_t launch_for_out(const GenericLinearParams& p, const Launch& how) {
  if (p.out_dtype == DType::kBF16) return launch(how, generic_linear_kernel<X, W, __nv_bfloat16>, p);
  return launch(how, generic_linear_kernel<X, W, float>, p);
}

template <class X>
cudaError_t launch_for_w(const GenericLinearParams& p, const Launch& how) {
  if (p.w_dtype == DType::kBF16) return launch_for_out<X, __nv_bfloat16>(p, how);
  return launch_for_out<X, float>(p, how);
}

}  // namespace

cudaError_t generic_linear(const GenericLinearParams& p, cudaStream_t stream) {
  if (p.rows == 0 || p.n == 0) return cudaSuccess;
  const auto tiles = [](int n) { return static_cast<unsigned>((n + kTile - 1) / kTile); };
  const Launch how{.grid = dim3(tiles(p.n), tiles(p.rows)), .block = dim3(kThreads), .stream = stream};
  return p.x_dtype == DType::kBF16 ? launch_for_w<__nv_bfloat16>(p, how) : launch_for_w<float>(p, how);
}

}  // namespace pegainfer::cuda

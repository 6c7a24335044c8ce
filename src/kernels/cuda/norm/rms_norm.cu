#include <algorithm>

#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/row_map.cuh"
#include "kernels/cuda/norm/rms_norm.h"

namespace pegainfer::cuda {
namespace {

__device__ __forceinline__ float norm_scale(float squares, int64_t cols, float eps) {
  return 1.0F / sqrtf(squares / static_cast<float>(cols) + eps);
}

// A CTA walks rows blockIdx.x, + gridDim.x, ...: the weight stays in registers, the next row is on its way
// while this one is summed. A thread holds V units of a row, so the order of the additions depends on the
// columns alone.
template <class T, int V>
__global__ void __launch_bounds__(512) rms_norm_kernel(RmsNormParams p) {
  constexpr int W = kVec<T>;
  using Unit = Chunk<T, W>;
  using Weights = Chunk<float, W>;
  __shared__ float shared[2][32];
  const auto units = static_cast<int>(p.cols / W);
  const auto first = static_cast<int>(threadIdx.x);
  const auto stride = static_cast<int>(blockDim.x);
  const auto fetch = [&](int64_t row, Unit(&to)[V]) {
    const auto* from = reinterpret_cast<const Unit*>(static_cast<const T*>(p.x) + row * p.x_stride);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      if (first + i * stride < units) to[i] = from[first + i * stride];
    }
  };

  let_next_start();
  float weight[V][W];
#pragma unroll
  for (int i = 0; i < V; ++i) {
    if (first + i * stride >= units) continue;
#pragma unroll
    for (int j = 0; j < W; j += 4) {
      const float4 w = reinterpret_cast<const float4*>(p.weight)[(first + i * stride) * (W / 4) + j / 4];
      weight[i][j] = w.x, weight[i][j + 1] = w.y, weight[i][j + 2] = w.z, weight[i][j + 3] = w.w;
    }
  }
  wait_for_previous();

  int64_t row = blockIdx.x;
  Unit x[V];
  if (row < p.rows) fetch(row, x);
  for (int parity = 0; row < p.rows; parity ^= 1) {
    const int64_t next = row + gridDim.x;
    Unit ahead[V];
    if (next < p.rows) fetch(next, ahead);
    float squares = 0;
#pragma unroll
    for (int i = 0; i < V; ++i) {
      if (first + i * stride >= units) continue;
#pragma unroll
      for (int j = 0; j < W; ++j) squares = fmaf(to_float(x[i].v[j]), to_float(x[i].v[j]), squares);
    }
    const float scale = norm_scale(block_sum(squares, shared[parity]), p.cols, p.eps);
    auto* to = reinterpret_cast<Unit*>(static_cast<T*>(p.out) + row * p.out_stride);
#pragma unroll
    for (int i = 0; i < V; ++i) {
      if (first + i * stride >= units) continue;
      Unit out;
#pragma unroll
      for (int j = 0; j < W; ++j)
        out.v[j] = from_float<T>(rounded<T>(to_float(x[i].v[j]) * scale) * weight[i][j]);
      to[first + i * stride] = out;
    }
    row = next;
#pragma unroll
    for (int i = 0; i < V; ++i) x[i] = ahead[i];
  }
}

// Any shape and alignment: a CTA a row, which is read twice.
template <class T>
__global__ void __launch_bounds__(256) rms_norm_any_kernel(RmsNormParams p) {
  __shared__ float shared[32];
  let_next_start();
  wait_for_previous();
  const T* x = static_cast<const T*>(p.x) + blockIdx.x * p.x_stride;
  T* out = static_cast<T*>(p.out) + blockIdx.x * p.out_stride;
  float squares = 0;
  for (int64_t c = threadIdx.x; c < p.cols; c += blockDim.x)
    squares = fmaf(to_float(x[c]), to_float(x[c]), squares);
  const float scale = norm_scale(block_sum(squares, shared), p.cols, p.eps);
  for (int64_t c = threadIdx.x; c < p.cols; c += blockDim.x)
    out[c] = from_float<T>(rounded<T>(to_float(x[c]) * scale) * p.weight[c]);
}

template <class T, int V>
cudaError_t launch_units(const RmsNormParams& p, int64_t units, cudaStream_t stream) {
  const int64_t threads = ((units + V - 1) / V + 31) / 32 * 32;
  // As many CTAs as are resident at about 64 registers a thread; no more than there are rows.
  const int64_t resident = std::max<int64_t>(1, std::min<int64_t>(1024 / threads, 16)) * p.num_sms;
  const Launch how{.grid = dim3(static_cast<unsigned>(std::min(p.rows, resident))),
                   .block = dim3(static_cast<unsigned>(threads)),
                   .stream = stream};
  return launch(how, rms_norm_kernel<T, V>, p);
}

template <class T>
cudaError_t rms_norm_of(const RmsNormParams& p, cudaStream_t stream) {
  const int64_t units = p.cols / kVec<T>;
  const bool whole = in_units_of_16(p.x, p.cols, p.x_stride, sizeof(T)) &&
                     in_units_of_16(p.out, p.cols, p.out_stride, sizeof(T)) && aligned_16(p.weight);
  if (whole && units <= 32) return launch_units<T, 1>(p, units, stream);
  if (whole && units <= 128) return launch_units<T, 2>(p, units, stream);
  if (whole && units <= 4 * 512) return launch_units<T, 4>(p, units, stream);
  const Launch how{.grid = dim3(static_cast<unsigned>(p.rows)), .block = dim3(256), .stream = stream};
  return launch(how, rms_norm_any_kernel<T>, p);
}

}  // namespace

cudaError_t rms_norm(const RmsNormParams& p, cudaStream_t stream) {
  if (p.rows == 0 || p.cols == 0) return cudaSuccess;
  return p.dtype == DType::kBF16 ? rms_norm_of<__nv_bfloat16>(p, stream) : rms_norm_of<float>(p, stream);
}

}  // namespace pegainfer::cuda

#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"
#include "kernels/cuda/common/vec.cuh"
#include "kernels/cuda/linear/round_bias.h"

namespace pegainfer::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) round_bias_kernel(const __grid_constant__ RoundBiasParams p) {
  let_next_start();
  wait_for_previous();
  const int i = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x);
  if (i < p.n) static_cast<__nv_bfloat16*>(p.out)[i] = from_float<__nv_bfloat16>(p.bias[i]);
}

}  // namespace

cudaError_t round_bias(const RoundBiasParams& params, cudaStream_t stream) {
  if (params.n == 0) return cudaSuccess;
  const auto grid = static_cast<unsigned>((params.n + kThreads - 1) / kThreads);
  return launch({.grid = dim3(grid), .block = dim3(kThreads), .stream = stream}, round_bias_kernel, params);
}

}  // namespace pegainfer::cuda

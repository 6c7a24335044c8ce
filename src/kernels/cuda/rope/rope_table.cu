#include "kernels/cuda/common/divide.h"
#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"
#include "kernels/cuda/common/vec.cuh"
#include "kernels/cuda/rope/rope.h"

namespace pegainfer::cuda {
namespace {

__global__ void __launch_bounds__(128) rope_table_kernel(RopeTableParams p, uint32_t count, Divider halves) {
  let_next_start();
  const uint32_t at = blockIdx.x * blockDim.x + threadIdx.x;
  uint32_t token = 0;
  uint32_t i = 0;
  halves.divide(at, token, i);
  const float inv_freq = at < count ? p.inv_freq[i] : 0.0F;
  wait_for_previous();
  if (at >= count) return;
  // The angle is an F32 product, as the reference computes it: at position 100,000 its rounding is visible.
  const float angle = __fmul_rn(static_cast<float>(p.positions[token * p.positions_stride]), inv_freq);
  float sine = 0;
  float cosine = 0;
  sincosf(angle, &sine, &cosine);  // accurate for any angle, without -use_fast_math
  sine *= p.factor;
  cosine *= p.factor;
  float* row = p.out + token * p.out_stride;
  row[i] = p.round_to_bf16 ? rounded<__nv_bfloat16>(cosine) : cosine;
  row[p.half + i] = p.round_to_bf16 ? rounded<__nv_bfloat16>(sine) : sine;
}

}  // namespace

cudaError_t rope_table(const RopeTableParams& p, cudaStream_t stream) {
  const int64_t count = p.tokens * p.half;
  if (count == 0) return cudaSuccess;
  if (count >= int64_t{1} << 30) return cudaErrorInvalidValue;
  const Launch how{
      .grid = dim3(static_cast<unsigned>((count + 127) / 128)), .block = dim3(128), .stream = stream};
  return launch(how, rope_table_kernel, p, static_cast<uint32_t>(count),
                Divider(static_cast<uint32_t>(p.half)));
}

}  // namespace pegainfer::cuda

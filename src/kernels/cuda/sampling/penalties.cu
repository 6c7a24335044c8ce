#include "kernels/cuda/common/launch.h"
#include "kernels/cuda/common/pdl.cuh"
#include "kernels/cuda/sampling/penalties.h"

namespace pegainfer::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kCtasARow = 4;

// An entry a thread, in turn. The roundings are spelt out: a multiplication and a subtraction are not to be
// one.
__global__ void __launch_bounds__(kThreads) penalties_kernel(PenaltyParams p) {
  let_next_start();
  wait_for_previous();
  const int64_t row = blockIdx.x;
  float* logits = p.logits + row * p.logits_stride;
  const float repetition = p.repetition[row];
  const float presence = p.presence[row];
  const float frequency = p.frequency[row];
  const int end = p.begin[row + 1];
  for (int i = p.begin[row] + static_cast<int>(blockIdx.y * kThreads + threadIdx.x); i < end;
       i += kCtasARow * kThreads) {
    const int id = p.ids[i];
    if (id < 0 || id >= p.vocab) continue;
    const int count = p.counts[i];
    float logit = logits[id];
    logit = logit > 0 ? __fdiv_rn(logit, repetition) : __fmul_rn(logit, repetition);
    logit = __fsub_rn(logit, __fmul_rn(frequency, static_cast<float>(count)));
    logits[id] = count > 0 ? __fsub_rn(logit, presence) : logit;
  }
}

__global__ void __launch_bounds__(kThreads) add_logits_kernel(LogitEditParams p) {
  let_next_start();
  wait_for_previous();
  const int64_t row = blockIdx.x;
  float* logits = p.logits + row * p.logits_stride;
  const int end = p.begin[row + 1];
  for (int i = p.begin[row] + static_cast<int>(blockIdx.y * kThreads + threadIdx.x); i < end;
       i += kCtasARow * kThreads) {
    const int id = p.ids[i];
    if (id >= 0 && id < p.vocab) logits[id] = __fadd_rn(logits[id], p.adds[i]);
  }
}

// A warp's threads look at one word of the mask.
__global__ void __launch_bounds__(kThreads) mask_kernel(MaskParams p) {
  let_next_start();
  wait_for_previous();
  const int64_t row = blockIdx.x;
  const int index = p.index[row];
  if (index < 0) return;
  float* logits = p.logits + row * p.logits_stride;
  const uint32_t* words = p.words + index * p.words_stride;
  for (int64_t i = blockIdx.y * kThreads + threadIdx.x; i < p.vocab; i += gridDim.y * kThreads) {
    if ((words[i / 32] >> (i % 32) & 1U) == 0) logits[i] = -INFINITY;
  }
}

}  // namespace

cudaError_t add_logits(const LogitEditParams& p, cudaStream_t stream) {
  if (p.rows == 0) return cudaSuccess;
  return launch(
      {.grid = dim3(static_cast<unsigned>(p.rows), kCtasARow), .block = dim3(kThreads), .stream = stream},
      add_logits_kernel, p);
}

cudaError_t mask_logits(const MaskParams& p, cudaStream_t stream) {
  if (p.rows == 0) return cudaSuccess;
  // Four tokens a thread: with more of them it is their latency that a single row waits for.
  const int64_t ctas = (p.vocab + 4 * kThreads - 1) / (4 * kThreads);
  return launch({.grid = dim3(static_cast<unsigned>(p.rows), static_cast<unsigned>(ctas)),
                 .block = dim3(kThreads),
                 .stream = stream},
                mask_kernel, p);
}

cudaError_t apply_penalties(const PenaltyParams& p, cudaStream_t stream) {
  if (p.rows == 0) return cudaSuccess;
  return launch(
      {.grid = dim3(static_cast<unsigned>(p.rows), kCtasARow), .block = dim3(kThreads), .stream = stream},
      penalties_kernel, p);
}

}  // namespace pegainfer::cuda

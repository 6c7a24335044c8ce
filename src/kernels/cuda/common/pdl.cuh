// The two instructions of programmatic dependent launch; nothing below sm_90. See launch.h for the rule.
#pragma once

namespace pegainfer::cuda {

// Waits until the kernels before have ended and their writes are visible.
__device__ __forceinline__ void wait_for_previous() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

// The next kernel may start as soon as every CTA has said so or ended.
__device__ __forceinline__ void let_next_start() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

}  // namespace pegainfer::cuda

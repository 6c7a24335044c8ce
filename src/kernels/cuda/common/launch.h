// Launching: one way for all kernels, so that programmatic dependent launch and large shared memory are set
// in one place.
//
// Programmatic dependent launch lets a kernel start while the one before it drains. The rule for every kernel
// here: griddepcontrol.wait (common/pdl.cuh) is executed by every CTA before it reads what another kernel
// wrote, and before it writes anything at all to global memory. Weights are never written by a kernel, so
// they may be fetched before it.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <utility>

namespace pegainfer::cuda {

struct Launch {
  dim3 grid;
  dim3 block;
  size_t shared_bytes = 0;  // dynamic
  cudaStream_t stream = nullptr;
  bool dependent = true;  // may start before the kernel before it has ended (sm_90 on; ignored below)
};

[[nodiscard]] bool supports_dependent_launch();

// All kernels want the same division of an SM's memory, the one with the most shared memory: kernels with
// different ones cannot be on an SM together, and then nothing of the next one starts while this one drains.
inline cudaError_t prefer_shared_memory(const void* kernel) {
  return cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout,
                              cudaSharedmemCarveoutMaxShared);
}

template <class... Params, class... Args>
cudaError_t launch(const Launch& how, void (*kernel)(Params...), Args&&... args) {
  cudaError_t error = prefer_shared_memory(reinterpret_cast<const void*>(kernel));
  if (error != cudaSuccess) return error;
  if (how.shared_bytes > 48 * 1024) {
    error =
        cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(how.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = how.grid;
  config.blockDim = how.block;
  config.dynamicSmemBytes = how.shared_bytes;
  config.stream = how.stream;
  config.attrs = &attribute;
  config.numAttrs = how.dependent && supports_dependent_launch() ? 1 : 0;
  return cudaLaunchKernelEx(&config, kernel, std::forward<Args>(args)...);
}

}  // namespace pegainfer::cuda

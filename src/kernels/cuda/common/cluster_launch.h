// launch() of common/launch.h for kernels whose CTAs form clusters.
#pragma once

#include "kernels/cuda/common/launch.h"

namespace pegainfer::cuda {

// CTAs of `threads` threads and `shared_bytes` of dynamic shared memory that a cluster of `kernel` may have:
// 16, 8, or 1 where the code that runs here knows nothing of clusters, which PTX of an older architecture
// does not on any device. For start-up: the answer is to be kept.
template <class... Params>
int largest_cluster(void (*kernel)(Params...), int threads, size_t shared_bytes) {
  const auto* address = reinterpret_cast<const void*>(kernel);
  cudaFuncAttributes function{};
  if (cudaFuncGetAttributes(&function, address) != cudaSuccess) return 1;
  if (function.ptxVersion < 90 || function.binaryVersion < 90) return 1;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim.x = 16;
  attribute.val.clusterDim.y = 1;
  attribute.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(16);
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.attrs = &attribute;
  config.numAttrs = 1;
  int clusters = 0;
  const bool fits =
      cudaFuncSetAttribute(address, cudaFuncAttributeNonPortableClusterSizeAllowed, 1) == cudaSuccess &&
      cudaFuncSetAttribute(address, cudaFuncAttributeMaxDynamicSharedMemorySize,
                           static_cast<int>(shared_bytes)) == cudaSuccess &&
      cudaOccupancyMaxActiveClusters(&clusters, address, &config) == cudaSuccess && clusters > 0;
  if (!fits) cudaGetLastError();  // 8 are possible everywhere
  return fits ? 16 : 8;
}

// grid.x is a multiple of `cluster`; 1 is a plain launch. More than 8 CTAs have to be allowed for the kernel.
template <class... Params, class... Args>
cudaError_t launch_clusters(const Launch& how, int cluster, void (*kernel)(Params...), Args&&... args) {
  if (cluster == 1) return launch(how, kernel, std::forward<Args>(args)...);
  const auto* address = reinterpret_cast<const void*>(kernel);
  if (const cudaError_t error = prefer_shared_memory(address); error != cudaSuccess) return error;
  if (how.shared_bytes > 48 * 1024) {
    const cudaError_t error = cudaFuncSetAttribute(address, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(how.shared_bytes));
    if (error != cudaSuccess) return error;
  }
  if (cluster > 8) {
    const cudaError_t error =
        cudaFuncSetAttribute(address, cudaFuncAttributeNonPortableClusterSizeAllowed, 1);
    if (error != cudaSuccess) return error;
  }
  cudaLaunchAttribute attributes[2]{};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim.x = static_cast<unsigned>(cluster);
  attributes[0].val.clusterDim.y = 1;
  attributes[0].val.clusterDim.z = 1;
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = how.grid;
  config.blockDim = how.block;
  config.dynamicSmemBytes = how.shared_bytes;
  config.stream = how.stream;
  config.attrs = attributes;
  config.numAttrs = how.dependent ? 2 : 1;
  return cudaLaunchKernelEx(&config, kernel, std::forward<Args>(args)...);
}

}  // namespace pegainfer::cuda

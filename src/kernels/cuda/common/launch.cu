#include "kernels/cuda/common/launch.h"

namespace pegainfer::cuda {
namespace {

__global__ void probe_kernel() {}

}  // namespace

// The kernels' code has to be of sm_90 or later, not only the device: what was compiled for an older one does
// not wait for the kernel before.
bool supports_dependent_launch() {
  static const bool supported = [] {
    cudaFuncAttributes code{};
    return cudaFuncGetAttributes(&code, probe_kernel) == cudaSuccess && code.ptxVersion >= 90 &&
           code.binaryVersion >= 90;
  }();
  return supported;
}

}  // namespace pegainfer::cuda

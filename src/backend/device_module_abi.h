// What a module with a device's backend exports, and whether it fits this executable. Both are made by one
// build and exchange C++ objects: a module of another build is refused.
#pragma once

#include <cstdint>
#include <memory>

#include "backend/backend.h"

namespace pegainfer {

// Counts changes of Backend, Ops and what they pass around that the sizes below do not show.
inline constexpr uint64_t kDeviceModuleVersion = 3;

constexpr uint64_t device_module_abi() {
  uint64_t h = kDeviceModuleVersion;
  for (const uint64_t v : {sizeof(BatchView), sizeof(StepLimits), sizeof(Weight), sizeof(SamplerView),
                           sizeof(QkNormRope), sizeof(AttentionParams), sizeof(DeviceMemory), sizeof(Buffer),
                           sizeof(Result<std::unique_ptr<Backend>>), static_cast<size_t>(kNumWeightFormats),
                           static_cast<size_t>(__GNUC__)})
    h = h * 1099511628211U + v;
  return h;
}

// pegainfer_cuda_abi() and pegainfer_create_cuda_backend() have these types.
using DeviceModuleAbi = uint64_t();
// check_every_op: wait for each op, so that an error names the one that failed.
using DeviceModuleCreate = void(int device, bool check_every_op, Result<std::unique_ptr<Backend>>* out);

}  // namespace pegainfer

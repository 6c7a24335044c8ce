// The two symbols that the module with the CUDA backend exports (backend/device_module.h loads it).
#include "backend/cuda/cuda_backend.h"
#include "backend/device_module_abi.h"

#define PEGA_EXPORT extern "C" __attribute__((visibility("default")))

PEGA_EXPORT uint64_t pegainfer_cuda_abi() { return pegainfer::device_module_abi(); }

PEGA_EXPORT void pegainfer_create_cuda_backend(int device, bool check_every_op,
                                               pegainfer::Result<std::unique_ptr<pegainfer::Backend>>* out) {
  auto backend = pegainfer::CudaBackend::create(device, check_every_op);
  if (backend) {
    *out = std::unique_ptr<pegainfer::Backend>(*std::move(backend));
  } else {
    *out = backend.error();
  }
}

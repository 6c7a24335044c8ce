// A step's keys and values into the paged cache.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/kv/kv_cache.h"

namespace pegainfer::cuda {

struct StoreKvParams {
  DType dtype = DType::kBF16;  // of k and v; rounded or widened to the cache's
  int64_t tokens = 0;
  const void* k = nullptr;  // [tokens, num_kv_heads * head_dim]
  int64_t k_stride = 0;
  const void* v = nullptr;
  int64_t v_stride = 0;
  KvLayer kv;
};
cudaError_t store_kv(const StoreKvParams& p, cudaStream_t stream);

}  // namespace pegainfer::cuda

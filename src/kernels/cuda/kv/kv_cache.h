// The inside of the paged KV cache on CUDA. A block of a layer is [2 (K, then V)][num_kv_heads][block_size]
// [head_dim], so that one head's positions in a block are one contiguous tile.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

// One layer of the cache, and where this step's tokens go.
struct KvLayer {
  std::byte* data = nullptr;  // block b starts at data + b * bytes_per_block
  size_t bytes_per_block = 0;
  DType dtype = DType::kBF16;  // kBF16 or kF32
  int block_size = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  const int32_t* slots = nullptr;  // [tokens]: block * block_size + offset; several tokens may share one
  int64_t slots_stride = 1;        // that nobody reads (the null block's)

#ifdef __CUDACC__
  // A head of a token: key when `is_value` is 0, value when it is 1.
  template <class T>
  __device__ __forceinline__ T* place(int64_t token, int head, int is_value) const {
    const int slot = slots[token * slots_stride];
    const int block = slot / block_size;
    const int64_t row = int64_t{is_value * num_kv_heads + head} * block_size + (slot - block * block_size);
    return reinterpret_cast<T*>(data + static_cast<size_t>(block) * bytes_per_block) + row * head_dim;
  }
#endif
};

}  // namespace pegainfer::cuda

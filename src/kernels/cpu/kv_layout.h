// The inside of a block of the paged KV cache on the CPU.
//
// First the keys of all KV heads, then the values. A head's positions stand in groups of 16:
//   BF16  K [head_dim / 2][16 positions][2]   V [16 / 2][head_dim][2 positions]
//   F32   K [head_dim][16 positions]          V [16 positions][head_dim]
// so that a vector of keys meets one broadcast pair of q, a vector of values one broadcast probability, and
// pairs are what the BF16 dot product takes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cpu {

inline constexpr int kKvGroup = 16;

// One layer of the cache.
struct KvLayer {
  std::byte* data = nullptr;  // block b starts at data + b * bytes_per_block
  size_t bytes_per_block = 0;
  DType dtype = DType::kBF16;  // kBF16 or kF32
  int block_size = 0;          // a multiple of kKvGroup
  int num_kv_heads = 0;
  int head_dim = 0;  // even
};

}  // namespace pegainfer::cpu

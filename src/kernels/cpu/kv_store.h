// Writes the keys and values of a step into the paged cache.
#pragma once

#include <cstdint>

#include "kernels/cpu/kv_layout.h"
#include "tensor/tensor.h"

namespace pegainfer::cpu {

// Rows [row_begin, row_end) of k and v [tokens, kv_heads * head_dim], BF16 or F32, go to slot_mapping[row]
// (block * block_size + offset), rounded when the cache is narrower.
void store_kv(const Tensor& k, const Tensor& v, const int32_t* slot_mapping, const KvLayer& kv,
              int64_t row_begin, int64_t row_end);

}  // namespace pegainfer::cpu

// BatchView: the whole device contract of one step. Flat and ragged, no prefill or decode flag: a sequence
// has one or more query tokens, its context ends with them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/tensor.h"

namespace pegainfer {

// The physical KV cache of all layers. Block b of layer l starts at data + (l * num_blocks + b) *
// bytes_per_block; the layout inside a block (K and V of block_size positions, kv_heads, head_dim) belongs to
// the backend.
struct KvCacheView {
  std::byte* data = nullptr;
  DType dtype = DType::kBF16;  // kBF16 or kF32
  int num_layers = 0;
  int num_blocks = 0;
  int block_size = 0;  // positions in a block, a multiple of 16
  int num_kv_heads = 0;
  int head_dim = 0;

  [[nodiscard]] size_t bytes_per_block() const {  // of one layer
    return 2 * static_cast<size_t>(block_size) * static_cast<size_t>(num_kv_heads) *
           static_cast<size_t>(head_dim) * size_of(dtype);
  }
  [[nodiscard]] std::byte* block(int layer, int block) const {
    return data +
           (static_cast<size_t>(layer) * static_cast<size_t>(num_blocks) + static_cast<size_t>(block)) *
               bytes_per_block();
  }
};

struct BatchView {
  int num_tokens = 0;
  int num_seqs = 0;
  int max_query_len = 0;
  int max_context_len = 0;
  Tensor token_ids;     // [num_tokens, 1] I32
  Tensor positions;     // [num_tokens, 1] I32
  Tensor slot_mapping;  // [num_tokens, 1] I32: block * block_size + offset where the token's K and V go
  Tensor query_start;   // [num_seqs + 1, 1] I32: rows [query_start[s], query_start[s + 1]) are sequence s's
  Tensor context_len;  // [num_seqs, 1] I32: positions 0 .. context_len - 1 exist after this step's tokens are
                       // stored
  Tensor block_table;  // [num_seqs, max_blocks] I32: block of position p is block_table[s][p / block_size]
  Tensor logits_rows;  // [num_logits, 1] I32: rows whose hidden states leave the model
  KvCacheView kv;
};

}  // namespace pegainfer

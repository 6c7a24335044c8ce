// Attention of a step's query rows over the paged KV cache: the parameters that every kernel of it shares,
// and which kernel takes what.
//
//   decode    sequences with one query token: the context in splits over a list of work made on the device
//   prefill   sequences with more than one: tiles of query rows, scores never in memory
//   plain     anything at all (F32, head sizes that are no multiple of 16, unaligned rows), a CTA a row and
//   head
//
// Which one a sequence goes through depends on the length of its own query alone (and on dtypes and shapes
// that are the same for the whole model), so its batch-mates change nothing.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

struct PagedAttention {
  const void* q = nullptr;  // [num_tokens, num_heads * head_dim] of dtype, rows q_stride elements apart
  void* out = nullptr;      // the same shape
  int64_t q_stride = 0;
  int64_t out_stride = 0;
  DType dtype = DType::kBF16;

  const int* query_start = nullptr;  // [num_seqs + 1]
  const int* context_len = nullptr;  // [num_seqs]
  const int* block_table = nullptr;  // [num_seqs, ...], rows table_stride apart
  int64_t table_stride = 0;

  const void* kv = nullptr;  // this layer's blocks: [num_blocks][2][num_kv_heads][block_size][head_dim]
  DType kv_dtype = DType::kBF16;
  int num_blocks = 0;
  int block_size = 0;  // a multiple of 16

  int num_seqs = 0;
  int num_tokens = 0;
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  int window = 0;  // 0: the whole context
  float scale = 0;

  [[nodiscard]] constexpr int group() const { return num_heads / num_kv_heads; }  // query heads of a KV head
};

// The device, as far as these kernels care.
struct AttentionDevice {
  int num_sms = 0;
  int major = 0;
  size_t shared_bytes_per_block = 0;
};

// Whether the tensor-core kernels take it; else plain_attention() does everything.
[[nodiscard]] bool has_tensor_path(const PagedAttention& p);
[[nodiscard]] bool has_tensor_head_dim(int head_dim);  // as far as the cache says it

// Every row of the batch, by loops over its context.
cudaError_t plain_attention(const PagedAttention& p, cudaStream_t stream);

// The rows of sequences with more than one query token; others are left alone. `counters`: two words that are
// 0 and are 0 again afterwards.
cudaError_t prefill_attention(const PagedAttention& p, const AttentionDevice& device, unsigned* counters,
                              cudaStream_t stream);

}  // namespace pegainfer::cuda

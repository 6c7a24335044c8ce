// Decode: sequences with one query token, the context of each in splits (splits.h).
#pragma once

#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/attention/splits.h"
#include "kernels/cuda/rope/rope.h"

namespace pegainfer::cuda {

struct DecodePlan {
  const int* query_start = nullptr;  // [num_seqs + 1]
  const int* context_len = nullptr;  // [num_seqs]
  SplitRule rule;
  DecodeChunk* chunks = nullptr;  // out: [max_chunks(num_seqs)], long ones first, a sequence's in order
  int* num_chunks = nullptr;      // out
};
// The list of work of a step, shared by its layers: the splits of every sequence with one query token.
cudaError_t plan_decode(const DecodePlan& plan, cudaStream_t stream);

// A kernel that does nothing but wait: one that comes later may take the list, the tables and what earlier
// steps stored as given before it waits itself, for it starts after this one has waited.
cudaError_t settle(cudaStream_t stream);

struct DecodeWork {
  const DecodeChunk* chunks = nullptr;
  const int* num_chunks = nullptr;
  float* partials = nullptr;     // memory for [chunks, heads, head_dim + 2]
  unsigned* counters = nullptr;  // [num_seqs, KV heads, parts] that are 0 and are 0 again afterwards
  unsigned* taken = nullptr;     // two words, likewise
  bool settled = false;          // settle() came after list and tables
};
// The rows of the sequences with one query token, which the list holds. A context of 0 gives zeros. With
// `heads`, which may be null: qk_norm_rope() of these with its storing on the way, to the same bits, for
// batches in which every sequence decodes; q and k are left as they were.
cudaError_t decode_attention(const PagedAttention& p, const QkNormRopeParams* heads, const DecodeWork& work,
                             const AttentionDevice& device, cudaStream_t stream);
// Whether decode_attention() takes `heads`: only while a CTA has about one item, for it makes the heads of an
// item before it begins with it; and not for a single sequence, whose items are too short to gain.
[[nodiscard]] bool has_decode_with_heads(const PagedAttention& p, const QkNormRopeParams& heads,
                                         const AttentionDevice& device);

}  // namespace pegainfer::cuda

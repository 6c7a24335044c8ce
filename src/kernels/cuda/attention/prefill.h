// Prefill: the two kernels behind prefill_attention().
#pragma once

#include "kernels/cuda/attention/attention.h"

namespace pegainfer::cuda {

// mma.sync and cp.async: every head size, sm_80 on.
cudaError_t prefill_mma(const PagedAttention& p, cudaStream_t stream);

// wgmma and TMA: head sizes 64 and 128, sm_90 alone.
[[nodiscard]] bool has_prefill_wgmma(const PagedAttention& p, const AttentionDevice& device);
cudaError_t prefill_wgmma(const PagedAttention& p, const AttentionDevice& device, unsigned* counters,
                          cudaStream_t stream);

}  // namespace pegainfer::cuda

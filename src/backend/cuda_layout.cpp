#include "backend/cuda_layout.h"

#include <fmt/core.h>

#include <algorithm>

#include "kernels/cuda/attention/splits.h"

namespace pegainfer {
namespace {

constexpr size_t round_up(size_t bytes) { return (bytes + 255) / 256 * 256; }

}  // namespace

Result<size_t> cuda_packed_bytes(WeightFormat format, int64_t rows, int64_t cols) {
  const WeightFormatInfo& info = info_of(format);
  if (cols % info.block_elements != 0)
    return unsupported(fmt::format("{} weights with {} columns: the format needs a multiple of {}", info.name,
                                   cols, info.block_elements));
  return round_up(static_cast<size_t>(rows) * static_cast<size_t>(cols) * size_of(cuda_weight_dtype(format)));
}

CudaWorkspace cuda_workspace(const StepLimits& limits, int num_sms) {
  (void)num_sms;
  return {.attention = cuda::AttentionScratch::of(limits.max_seqs, limits.num_heads, limits.head_dim).bytes,
          .linear = kLinearScratchBytes};
}

}  // namespace pegainfer

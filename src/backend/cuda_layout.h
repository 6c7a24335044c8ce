// What the CUDA backend takes of a card's memory, as plain arithmetic: so that a plan can be made, and said,
// on a machine without one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"
#include "pegainfer/result.h"
#include "tensor/dtype.h"

namespace pegainfer {

// How a checkpoint's format stands on the device: row-major [rows, cols], quantized formats and BF16 as BF16,
// F16 and F32 as F32 (both exact).
[[nodiscard]] constexpr DType cuda_weight_dtype(WeightFormat format) {
  return format == WeightFormat::kF32 || format == WeightFormat::kF16 ? DType::kF32 : DType::kBF16;
}

// Bytes of a part; an error when the columns do not fill the format's blocks.
[[nodiscard]] Result<size_t> cuda_packed_bytes(WeightFormat format, int64_t rows, int64_t cols);

// What products of many rows need: the library's workspace, and a bias in the activations' type behind it.
inline constexpr size_t kCublasWorkspaceBytes = size_t{32} << 20U;
inline constexpr int64_t kMaxBiasRows = int64_t{1} << 19U;
inline constexpr size_t kLinearScratchBytes = kCublasWorkspaceBytes + size_t{2} * kMaxBiasRows;

// Memory that ops need besides their arguments, by group.
struct CudaWorkspace {
  size_t attention = 0;  // work lists, partial results of split contexts
  size_t linear = 0;     // cuBLASLt's, partial sums
  size_t sampling = 0;   // scratch of rows that are filtered
  [[nodiscard]] size_t total() const { return attention + linear + sampling; }
};
[[nodiscard]] CudaWorkspace cuda_workspace(const StepLimits& limits, int num_sms);

// Its answers to Backend's default_max_num_batched_tokens() and head_rows(): a step of so many tokens is
// bound by arithmetic, and so many rows of logits are read back from the head's weights at once.
inline constexpr int kCudaMaxNumBatchedTokens = 2048;
inline constexpr int kCudaHeadRows = 256;

// What the driver, the kernels' code, cuBLASLt and the captured graphs take, beyond what is allocated by
// name.
inline constexpr size_t kCudaContextBytes = size_t{600} << 20U;

}  // namespace pegainfer

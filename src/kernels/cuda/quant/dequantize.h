// Weights from checkpoint layout to what the device computes with.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

// Rows in checkpoint layout (rows * row_bytes(format, cols) bytes on the device, 16-byte aligned) -> out
// [rows, cols], 16-byte aligned: BF16 for the quantized formats, each value dequantized in F32 and rounded
// once, and for BF16; F32 for F32 and F16.
cudaError_t dequantize(WeightFormat format, const void* blocks, int64_t rows, int64_t cols, void* out,
                       cudaStream_t stream);

}  // namespace pegainfer::cuda

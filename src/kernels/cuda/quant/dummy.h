// Made-up weights, as tensor/dummy_value.h defines them.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

// Elements 0 .. count - 1 of a part in a float format -> out, 16-byte aligned, as it stands on the device:
// BF16 for BF16, F32 for F32 and for F16 (rounded to that first).
cudaError_t fill_dummy(WeightFormat format, int64_t count, uint64_t key, float scale, void* out,
                       cudaStream_t stream);

}  // namespace pegainfer::cuda

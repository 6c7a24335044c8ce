// Rows of a packed table as activations.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cpu {

// Row `row` of a packed [rows, cols] table (pack.h), dequantized in F32 and rounded to BF16 when out_bf16
// -> out [cols] BF16 or F32.
void embedding_row(WeightFormat format, int64_t rows, int64_t cols, const std::byte* packed, int64_t row,
                   void* out, bool out_bf16);

}  // namespace pegainfer::cpu

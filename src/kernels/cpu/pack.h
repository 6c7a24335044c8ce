// The packed layout of weights on the CPU: what linear() multiplies with and embedding() reads.
//
// Rows stand in groups of 16 (the lanes of a vector), columns in cells of 32; a group's bytes are contiguous.
// Quantized weights keep their bits: small integers in bit planes, F16 scales, 6-bit scales widened to 8
// (quant.h). Rows beyond the matrix and columns that pad a dense row to whole cells are zeros.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cpu {

inline constexpr int64_t kGroupRows = 16;
inline constexpr int64_t kCellCols = 32;

// Bytes of a [rows, cols] matrix in the packed layout; a multiple of 64. cols is a multiple of the format's
// block_elements.
[[nodiscard]] size_t packed_bytes(WeightFormat format, int64_t rows, int64_t cols);

// Converts rows [row_begin, row_begin + n) from checkpoint layout (n * row_bytes(format, cols) bytes, any
// alignment) into `packed`, which is aligned to 64. row_begin is a multiple of 16; so is n, but for the last
// rows of the matrix. Any bit pattern is safe. Disjoint ranges may be packed by several threads at once.
void pack_rows(WeightFormat format, int64_t rows, int64_t cols, std::byte* packed, int64_t row_begin,
               int64_t n, const std::byte* source);

// Row `row` dequantized exactly as the format defines it -> out [cols] F32.
void unpack_row(WeightFormat format, int64_t rows, int64_t cols, const std::byte* packed, int64_t row,
                float* out);
// Columns [begin, begin + n) of row `row`, likewise; both multiples of 32, but for the end of the row.
void unpack_columns(WeightFormat format, int64_t rows, int64_t cols, const std::byte* packed, int64_t row,
                    int64_t begin, int64_t n, float* out);

}  // namespace pegainfer::cpu

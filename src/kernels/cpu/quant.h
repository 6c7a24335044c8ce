// How quantized weights lie in the packed layout.
//
// Every quantized format is: a small integer code per element, whose value (exact in BF16) comes from a short
// table, a scale per row and sub-block of 16 or 32 columns, perhaps a minimum:  w = scale * value[code] (+
// min). A group of 16 rows is three arrays, padded to 64 bytes together:
//
//   planes  [cells][plane bytes]  code bits of 16 rows x 32 columns, in vectors of 64 bytes
//   scales  [cells][scale bytes]  16 rows side by side
//   supers  [cols / 256][bytes]   F16 d (and dmin) of the formats with super-blocks, 16 rows side by side
//
// Planes of 1, 2 and 4 bits: a vector is [16 rows][2 parities] of 16-bit words; field j of a word belongs to
// column 2 * pair + parity, where a 4-bit vector holds pairs 4 v .. 4 v + 3, a 2-bit one 8 v .. 8 v + 7, a
// 1-bit one all 16. So one shift of a vector brings a pair of columns of all rows into place, as the BF16 dot
// product wants it. A plane of 8 bits: [16 rows][4 columns] of bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/pack.h"
#include "tensor/dtype.h"

namespace pegainfer::cpu {

enum class ScaleKind : uint8_t {
  kNone,       // dense
  kF16,        // d [16] F16
  kF16Min,     // d [16], min [16] F16
  kInt8,       // scale [2 sub-blocks][16] int8, times the super-block's d
  kByteMin,    // scale [16], min [16] uint8, times d and -dmin
  kNibbleMin,  // [2 sub-blocks][16]: scale in the low 4 bits, min in the high ones; times d and -dmin
};

struct QuantLayout {
  int lo_bits = 0;  // 2, 4 or 8; dense: 0
  int hi_bits = 0;  // 0, 1 or 2: the bits above
  int sub_cols = 0;
  ScaleKind scale = ScaleKind::kNone;

  [[nodiscard]] constexpr bool has_min() const {
    return scale == ScaleKind::kF16Min || scale == ScaleKind::kByteMin || scale == ScaleKind::kNibbleMin;
  }
  [[nodiscard]] constexpr bool has_super() const {
    return scale == ScaleKind::kInt8 || scale == ScaleKind::kByteMin || scale == ScaleKind::kNibbleMin;
  }
  [[nodiscard]] constexpr int64_t lo_bytes() const { return int64_t{64} * lo_bits; }  // of a cell
  [[nodiscard]] constexpr int64_t hi_bytes() const { return int64_t{64} * hi_bits; }
  [[nodiscard]] constexpr int64_t plane_bytes() const { return lo_bytes() + hi_bytes(); }
  [[nodiscard]] constexpr int64_t scale_bytes() const {
    return scale == ScaleKind::kNone ? 0 : scale == ScaleKind::kF16Min ? 64 : 32;
  }
  [[nodiscard]] constexpr int64_t super_bytes() const {  // of 256 columns
    return !has_super() ? 0 : has_min() ? 64 : 32;
  }
};

constexpr QuantLayout quant_layout(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
    case WeightFormat::kF16:
    case WeightFormat::kBF16: return {};
    case WeightFormat::kQ4_0:
    case WeightFormat::kIQ4_NL: return {4, 0, 32, ScaleKind::kF16};
    case WeightFormat::kQ4_1: return {4, 0, 32, ScaleKind::kF16Min};
    case WeightFormat::kQ5_0: return {4, 1, 32, ScaleKind::kF16};
    case WeightFormat::kQ5_1: return {4, 1, 32, ScaleKind::kF16Min};
    case WeightFormat::kQ8_0: return {8, 0, 32, ScaleKind::kF16};
    case WeightFormat::kQ2_K: return {2, 0, 16, ScaleKind::kNibbleMin};
    case WeightFormat::kQ3_K: return {2, 1, 16, ScaleKind::kInt8};
    case WeightFormat::kQ4_K: return {4, 0, 32, ScaleKind::kByteMin};
    case WeightFormat::kQ5_K: return {4, 1, 32, ScaleKind::kByteMin};
    case WeightFormat::kQ6_K: return {4, 2, 16, ScaleKind::kInt8};
  }
  return {};
}

// The integer a code below 64 stands for (Q8_0's codes are int8 and stand for themselves).
constexpr int code_value(WeightFormat format, int code) {
  constexpr int kNonLinear[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  switch (format) {
    case WeightFormat::kIQ4_NL: return kNonLinear[code & 15];
    case WeightFormat::kQ4_0: return code - 8;
    case WeightFormat::kQ5_0: return code - 16;
    case WeightFormat::kQ3_K: return code - 4;
    case WeightFormat::kQ6_K: return code - 32;
    default: return code;
  }
}

constexpr int64_t num_cells(int64_t cols) { return (cols + kCellCols - 1) / kCellCols; }

// Bytes of a group of 16 rows; `dense_bytes` of an element, 0 for quantized formats.
constexpr int64_t group_bytes(const QuantLayout& layout, int64_t dense_bytes, int64_t cols) {
  const int64_t cells = num_cells(cols);
  const int64_t bytes = cells * (layout.plane_bytes() + layout.scale_bytes()) +
                        cols / 256 * layout.super_bytes() + cells * kCellCols * kGroupRows * dense_bytes;
  return (bytes + 63) / 64 * 64;
}

// A block of one row in checkpoint layout, taken apart.
struct QuantBlock {
  uint8_t codes[256];  // one per column
  uint8_t scales[16];  // kInt8 (two's complement), kByteMin, kNibbleMin: per sub-block
  uint8_t mins[16];    // kByteMin
  uint16_t d;          // F16
  uint16_t m;          // F16: min or dmin
};

void take_apart(WeightFormat format, const uint8_t* block, QuantBlock& out);

}  // namespace pegainfer::cpu

#include "kernels/cpu/pack.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/half.h"
#include "kernels/cpu/quant.h"

namespace pegainfer::cpu {
namespace {

struct Place {  // where a format's group keeps what
  QuantLayout layout;
  int64_t dense_bytes;
  int64_t cells;
  int64_t stride;  // bytes of a group
  int64_t scales;  // offset in the group
  int64_t supers;  // offset in the group

  Place(WeightFormat format, int64_t cols)
      : layout(quant_layout(format)),
        dense_bytes(is_quantized(format) ? 0 : info_of(format).block_bytes),
        cells(num_cells(cols)),
        stride(group_bytes(layout, dense_bytes, cols)),
        scales(cells * layout.plane_bytes()),
        supers(scales + cells * layout.scale_bytes()) {}
};

void put_u16(uint8_t* at, int64_t index, uint16_t v) { std::memcpy(at + 2 * index, &v, sizeof v); }
uint16_t get_u16(const uint8_t* at, int64_t index) {
  uint16_t v = 0;
  std::memcpy(&v, at + 2 * index, sizeof v);
  return v;
}

// The 16-bit words of a row in one plane: fields of `bits` bits, `16 / bits` pairs a word. codes [32],
// already shifted down to the plane's bits.
template <unsigned bits>
void put_plane(const uint8_t* codes, int64_t row, uint8_t* plane) {
  constexpr unsigned kPairs = 16 / bits;
  for (unsigned v = 0; v < 16 / kPairs; ++v) {
    uint64_t even = 0;
    uint64_t odd = 0;
    // Four pairs at a time: the even (odd) bytes of eight become fields in the lanes of a 64-bit word, which
    // then fold onto each other.
    for (unsigned quad = 0; quad < kPairs / 4; ++quad) {
      constexpr uint64_t kField = 0x0001000100010001ULL * ((1U << bits) - 1U);
      uint64_t eight = 0;
      std::memcpy(&eight, codes + (v * kPairs + quad * 4) * 2, sizeof eight);
      const auto fold = [](uint64_t lanes) {
        lanes |= lanes >> (16 - bits);
        return (lanes | lanes >> (32 - 2 * bits)) & ((1U << (4 * bits)) - 1U);
      };
      even |= fold(eight & kField) << (quad * 4 * bits);
      odd |= fold((eight >> 8U) & kField) << (quad * 4 * bits);
    }
    put_u16(plane + v * 64, row * 2, static_cast<uint16_t>(even));
    put_u16(plane + v * 64, row * 2 + 1, static_cast<uint16_t>(odd));
  }
}

template <unsigned bits>
unsigned get_field(const uint8_t* plane, int64_t row, int col) {
  constexpr unsigned kPairs = 16 / bits;
  const unsigned pair = static_cast<unsigned>(col) / 2;
  const unsigned word = get_u16(plane + pair / kPairs * 64, row * 2 + col % 2);
  return (word >> (pair % kPairs * bits)) & ((1U << bits) - 1U);
}

void put_codes(const QuantLayout& layout, const uint8_t* codes, int64_t row, uint8_t* cell) {
  if (layout.lo_bits == 8) {
    for (int64_t v = 0; v < 8; ++v) std::memcpy(cell + v * 64 + row * 4, codes + v * 4, 4);
    return;
  }
  if (layout.lo_bits == 4) put_plane<4>(codes, row, cell);
  if (layout.lo_bits == 2) put_plane<2>(codes, row, cell);
  if (layout.hi_bits == 0) return;
  uint8_t high[kCellCols];
  for (int64_t c = 0; c < kCellCols; ++c)
    high[c] = static_cast<uint8_t>(codes[c] >> static_cast<unsigned>(layout.lo_bits));
  if (layout.hi_bits == 1) put_plane<1>(high, row, cell + layout.lo_bytes());
  if (layout.hi_bits == 2) put_plane<2>(high, row, cell + layout.lo_bytes());
}

void put_scales(const QuantLayout& layout, const QuantBlock& block, int64_t cell_in_block, int64_t row,
                uint8_t* at) {
  switch (layout.scale) {
    case ScaleKind::kNone: return;
    case ScaleKind::kF16: put_u16(at, row, block.d); return;
    case ScaleKind::kF16Min:
      put_u16(at, row, block.d);
      put_u16(at, 16 + row, block.m);
      return;
    case ScaleKind::kByteMin:
      at[row] = block.scales[cell_in_block];
      at[16 + row] = block.mins[cell_in_block];
      return;
    case ScaleKind::kInt8:
    case ScaleKind::kNibbleMin:
      at[row] = block.scales[2 * cell_in_block];
      at[16 + row] = block.scales[2 * cell_in_block + 1];
      return;
  }
}

void pack_quant_row(WeightFormat format, const Place& place, int64_t cols, const uint8_t* source,
                    uint8_t* group, int64_t row) {
  const WeightFormatInfo& info = info_of(format);
  const int64_t cells_a_block = info.block_elements / kCellCols;
  QuantBlock block;
  for (int64_t b = 0; b < cols / info.block_elements; ++b, source += info.block_bytes) {
    take_apart(format, source, block);
    for (int64_t i = 0; i < cells_a_block; ++i) {
      const int64_t cell = b * cells_a_block + i;
      put_codes(place.layout, block.codes + i * kCellCols, row, group + cell * place.layout.plane_bytes());
      put_scales(place.layout, block, i, row, group + place.scales + cell * place.layout.scale_bytes());
    }
    if (!place.layout.has_super()) continue;
    uint8_t* super = group + place.supers + b * place.layout.super_bytes();
    put_u16(super, row, block.d);
    if (place.layout.has_min()) put_u16(super, 16 + row, block.m);
  }
}

// F16 and F32: [col][16 rows]; BF16: [col / 2][16 rows][2].
void pack_dense_row(WeightFormat format, int64_t cols, const uint8_t* source, uint8_t* group, int64_t row) {
  if (format == WeightFormat::kF32) {
    for (int64_t c = 0; c < cols; ++c) std::memcpy(group + (c * 16 + row) * 4, source + c * 4, 4);
  } else if (format == WeightFormat::kF16) {
    for (int64_t c = 0; c < cols; ++c) std::memcpy(group + (c * 16 + row) * 2, source + c * 2, 2);
  } else {
    const int64_t pairs = cols / 2;
    for (int64_t p = 0; p < pairs; ++p) std::memcpy(group + (p * 16 + row) * 4, source + p * 4, 4);
    if (cols % 2 != 0) std::memcpy(group + (pairs * 16 + row) * 4, source + pairs * 4, 2);
  }
}

// Zeros for what no row writes: rows and columns beyond the matrix, the bytes up to a multiple of 64.
void clear_padding(const Place& place, int64_t rows_left, int64_t cols, uint8_t* group) {
  const bool whole = rows_left >= kGroupRows && (place.dense_bytes == 0 || cols % kCellCols == 0);
  const int64_t used = whole ? place.supers + cols / 256 * place.layout.super_bytes() +
                                   place.cells * kCellCols * kGroupRows * place.dense_bytes
                             : 0;
  std::memset(group + used, 0, static_cast<size_t>(place.stride - used));
}

// Scale and minimum of sub-block `sub` (of the whole row).
void get_scale(const Place& place, const uint8_t* group, int64_t sub, int64_t row, float& scale, float& min) {
  const int64_t subs_a_cell = kCellCols / place.layout.sub_cols;
  const int64_t cell = sub / subs_a_cell;
  const uint8_t* at = group + place.scales + cell * place.layout.scale_bytes();
  const uint8_t* super = group + place.supers + cell / 8 * place.layout.super_bytes();
  const int64_t byte = sub % subs_a_cell * 16 + row;
  min = 0;
  switch (place.layout.scale) {
    case ScaleKind::kNone: scale = 1; return;
    case ScaleKind::kF16: scale = f16_to_f32(get_u16(at, row)); return;
    case ScaleKind::kF16Min:
      scale = f16_to_f32(get_u16(at, row));
      min = f16_to_f32(get_u16(at, 16 + row));
      return;
    case ScaleKind::kInt8:
      scale = f16_to_f32(get_u16(super, row)) * static_cast<float>(static_cast<int8_t>(at[byte]));
      return;
    case ScaleKind::kByteMin:
      scale = f16_to_f32(get_u16(super, row)) * static_cast<float>(at[row]);
      min = -(f16_to_f32(get_u16(super, 16 + row)) * static_cast<float>(at[16 + row]));
      return;
    case ScaleKind::kNibbleMin:
      scale = f16_to_f32(get_u16(super, row)) * static_cast<float>(at[byte] & 15U);
      min = -(f16_to_f32(get_u16(super, 16 + row)) * static_cast<float>(at[byte] >> 4U));
      return;
  }
}

template <WeightFormat format>
void unpack_quant(const Place& place, const uint8_t* group, int64_t row, int64_t begin, int64_t n,
                  float* out) {
  constexpr QuantLayout kLayout = quant_layout(format);
  for (int64_t sub = begin / kLayout.sub_cols; sub < (begin + n) / kLayout.sub_cols;
       ++sub, out += kLayout.sub_cols) {
    float scale = 0;
    float min = 0;
    get_scale(place, group, sub, row, scale, min);
    const int64_t cell = sub * kLayout.sub_cols / kCellCols;
    const int first = static_cast<int>(sub * kLayout.sub_cols % kCellCols);
    const uint8_t* plane = group + cell * kLayout.plane_bytes();
    for (int c = 0; c < kLayout.sub_cols; ++c) {
      const int col = first + c;
      int value = 0;
      if constexpr (kLayout.lo_bits == 8) {
        value = static_cast<int8_t>(plane[col / 4 * 64 + row * 4 + col % 4]);
      } else {
        unsigned code = get_field<kLayout.lo_bits>(plane, row, col);
        if constexpr (kLayout.hi_bits > 0)
          code |= get_field<kLayout.hi_bits>(plane + kLayout.lo_bytes(), row, col) << kLayout.lo_bits;
        value = code_value(format, static_cast<int>(code));
      }
      const float product = scale * static_cast<float>(value);
      out[c] = kLayout.has_min() ? product + min : product;
    }
  }
}

void unpack_dense(WeightFormat format, const uint8_t* group, int64_t row, int64_t begin, int64_t n,
                  float* out) {
  for (int64_t c = begin; c < begin + n; ++c, ++out) {
    if (format == WeightFormat::kF32) {
      std::memcpy(out, group + (c * 16 + row) * 4, 4);
    } else if (format == WeightFormat::kF16) {
      *out = f16_to_f32(get_u16(group, c * 16 + row));
    } else {
      *out = bf16_to_f32(get_u16(group, (c / 2 * 16 + row) * 2 + c % 2));
    }
  }
}

}  // namespace

size_t packed_bytes(WeightFormat format, int64_t rows, int64_t cols) {
  CHECK(rows >= 0 && cols >= 0 && cols % info_of(format).block_elements == 0, "{} [{}, {}]",
        info_of(format).name, rows, cols);
  return static_cast<size_t>((rows + kGroupRows - 1) / kGroupRows * Place(format, cols).stride);
}

void pack_rows(WeightFormat format, int64_t rows, int64_t cols, std::byte* packed, int64_t row_begin,
               int64_t n, const std::byte* source) {
  CHECK(row_begin % kGroupRows == 0 && row_begin >= 0 && n >= 0 && row_begin + n <= rows &&
            (n % kGroupRows == 0 || row_begin + n == rows),
        "rows [{}, {}) of {}", row_begin, row_begin + n, rows);
  const Place place(format, cols);
  const auto* from = reinterpret_cast<const uint8_t*>(source);
  for (int64_t r = row_begin; r < row_begin + n; ++r, from += row_bytes(format, cols)) {
    uint8_t* group = reinterpret_cast<uint8_t*>(packed) + r / kGroupRows * place.stride;
    const int64_t lane = r % kGroupRows;
    if (lane == 0) clear_padding(place, rows - r, cols, group);
    if (place.dense_bytes > 0) {
      pack_dense_row(format, cols, from, group, lane);
    } else {
      pack_quant_row(format, place, cols, from, group, lane);
    }
  }
}

void unpack_columns(WeightFormat format, int64_t rows, int64_t cols, const std::byte* packed, int64_t row,
                    int64_t begin, int64_t n, float* out) {
  CHECK(row >= 0 && row < rows && begin >= 0 && n >= 0 && begin + n <= cols && begin % kCellCols == 0 &&
            (n % kCellCols == 0 || begin + n == cols),
        "row {} of {}, columns [{}, {}) of {}", row, rows, begin, begin + n, cols);
  const Place place(format, cols);
  const auto* group = reinterpret_cast<const uint8_t*>(packed) + row / kGroupRows * place.stride;
  const int64_t lane = row % kGroupRows;
  using enum WeightFormat;
  switch (format) {
    case kF32:
    case kF16:
    case kBF16: return unpack_dense(format, group, lane, begin, n, out);
    case kQ4_0: return unpack_quant<kQ4_0>(place, group, lane, begin, n, out);
    case kQ4_1: return unpack_quant<kQ4_1>(place, group, lane, begin, n, out);
    case kQ5_0: return unpack_quant<kQ5_0>(place, group, lane, begin, n, out);
    case kQ5_1: return unpack_quant<kQ5_1>(place, group, lane, begin, n, out);
    case kQ8_0: return unpack_quant<kQ8_0>(place, group, lane, begin, n, out);
    case kQ2_K: return unpack_quant<kQ2_K>(place, group, lane, begin, n, out);
    case kQ3_K: return unpack_quant<kQ3_K>(place, group, lane, begin, n, out);
    case kQ4_K: return unpack_quant<kQ4_K>(place, group, lane, begin, n, out);
    case kQ5_K: return unpack_quant<kQ5_K>(place, group, lane, begin, n, out);
    case kQ6_K: return unpack_quant<kQ6_K>(place, group, lane, begin, n, out);
    case kIQ4_NL: return unpack_quant<kIQ4_NL>(place, group, lane, begin, n, out);
  }
}

void unpack_row(WeightFormat format, int64_t rows, int64_t cols, const std::byte* packed, int64_t row,
                float* out) {
  unpack_columns(format, rows, cols, packed, row, 0, cols, out);
}

}  // namespace pegainfer::cpu

// Packed cells (16 rows x 32 columns) to vectors of F32 integers, scales and minima. For _isa.cpp files only.
#pragma once

#include <cstdint>

#include "kernels/cpu/linear_vec.h"
#include "kernels/cpu/quant.h"

#define PEGA_INLINE [[gnu::always_inline]] inline

namespace pegainfer::cpu::PEGA_ISA {
namespace {

// A storage format's figures as compile-time constants: nothing of quant.h is called at run time.
template <WeightFormat F>
struct Format {
  static constexpr QuantLayout kLayout = quant_layout(F);
  static constexpr bool kQuant = kLayout.scale != ScaleKind::kNone;
  static constexpr bool kMin = kLayout.has_min();
  static constexpr bool kSuper = kLayout.has_super();
  static constexpr int kLoBits = kLayout.lo_bits;
  static constexpr int kHiBits = kLayout.hi_bits;
  static constexpr int kSubCols = kQuant ? kLayout.sub_cols : 32;
  static constexpr int kSubs = 32 / kSubCols;  // of a cell
  static constexpr int64_t kDenseBytes = kQuant ? 0 : F == WeightFormat::kF32 ? 4 : 2;
  static constexpr int64_t kLoBytes = kLayout.lo_bytes();
  static constexpr int64_t kCellBytes = kQuant ? kLayout.plane_bytes() : 16 * 32 * kDenseBytes;
  static constexpr int64_t kScaleBytes = kLayout.scale_bytes();
  static constexpr int64_t kSuperBytes = kLayout.super_bytes();
  static constexpr float kOffset = static_cast<float>(-code_value(F, 0));  // but for IQ4_NL
};

struct GroupView {
  const uint8_t* cells;
  const uint8_t* scales;
  const uint8_t* supers;
  int64_t stride;  // bytes to the next group
};

template <WeightFormat F>
PEGA_INLINE GroupView group_view(const std::byte* packed, int64_t group, int64_t cells) {
  using Fmt = Format<F>;
  const int64_t scales = cells * Fmt::kCellBytes;
  const int64_t supers = scales + cells * Fmt::kScaleBytes;
  const int64_t stride = (supers + cells / 8 * Fmt::kSuperBytes + 63) / 64 * 64;
  const auto* base = reinterpret_cast<const uint8_t*>(packed) + group * stride;
  return {base, base + scales, base + supers, stride};
}

struct Scales {  // of a cell's one or two sub-blocks
  Vec scale[2];
  Vec min[2];
};

template <WeightFormat F>
PEGA_INLINE Scales decode_scales(const GroupView& group, int64_t cell) {
  using Fmt = Format<F>;
  constexpr ScaleKind kKind = Fmt::kLayout.scale;
  const uint8_t* at = group.scales + cell * Fmt::kScaleBytes;
  Scales out;
  if constexpr (kKind == ScaleKind::kF16 || kKind == ScaleKind::kF16Min) {
    out.scale[0] = vload_f16(at);
    if constexpr (Fmt::kMin) out.min[0] = vload_f16(at + 32);
  } else if constexpr (Fmt::kSuper) {
    const uint8_t* super = group.supers + cell / 8 * Fmt::kSuperBytes;
    const Vec d = vload_f16(super);
    if constexpr (kKind == ScaleKind::kInt8) {
      for (int s = 0; s < 2; ++s) out.scale[s] = vmul(d, ifloat(iload_i8(at + s * 16)));
    } else {
      const Vec minus_dmin = vsub(vzero(), vload_f16(super + 32));
      if constexpr (kKind == ScaleKind::kByteMin) {
        out.scale[0] = vmul(d, ifloat(iload_u8(at)));
        out.min[0] = vmul(minus_dmin, ifloat(iload_u8(at + 16)));
      } else {
        for (int s = 0; s < 2; ++s) {
          const IVec both = iload_u8(at + s * 16);
          out.scale[s] = vmul(d, ifloat(iand(both, 15)));
          out.min[s] = vmul(minus_dmin, ifloat(ishr(both, 4)));
        }
      }
    }
  }
  return out;
}

struct NonLinearTable {
  float value[16];
  constexpr NonLinearTable() : value() {
    for (int i = 0; i < 16; ++i) value[i] = static_cast<float>(code_value(WeightFormat::kIQ4_NL, i));
  }
};
alignas(64) constexpr NonLinearTable kNonLinear{};

// Code of one column in the low bits of each lane to its integer.
template <WeightFormat F>
PEGA_INLINE Vec code_to_f32(IVec code) {
  if constexpr (F == WeightFormat::kIQ4_NL) return vlookup16(code, kNonLinear.value);
  const Vec v = ifloat(code);
  return Format<F>::kOffset == 0 ? v : vsub(v, vset(Format<F>::kOffset));
}

// Columns that decode_f32 makes at a time.
template <WeightFormat F>
constexpr int kUnitCols = Format<F>::kLoBits == 8 ? 4 : 2;

// Columns [unit * kUnitCols, (unit + 1) * kUnitCols) of a cell: the integers of quantized formats, the values
// of dense ones. `unit` is a constant where this is inlined.
template <WeightFormat F>
PEGA_INLINE void decode_f32(const uint8_t* cell, int unit, Vec (&out)[kUnitCols<F>]) {
  using Fmt = Format<F>;
  if constexpr (F == WeightFormat::kF32) {
    for (int i = 0; i < 2; ++i) out[i] = ibits(iload(cell + 64 * (2 * unit + i)));
  } else if constexpr (F == WeightFormat::kF16) {
    for (int i = 0; i < 2; ++i) out[i] = vload_f16(cell + 32 * (2 * unit + i));
  } else if constexpr (F == WeightFormat::kBF16) {
    const IVec pair = iload(cell + 64 * unit);
    out[0] = ibits(ishl(pair, 16));
    out[1] = ibits(iand(pair, static_cast<int32_t>(0xffff0000)));
  } else if constexpr (Fmt::kLoBits == 8) {
    const IVec quad = iload(cell + 64 * unit);
    out[0] = ifloat(isra(ishl(quad, 24), 24));
    out[1] = ifloat(isra(ishl(quad, 16), 24));
    out[2] = ifloat(isra(ishl(quad, 8), 24));
    out[3] = ifloat(isra(quad, 24));
  } else {
    constexpr unsigned kLo = Fmt::kLoBits;
    constexpr int32_t kLoMask = (1 << kLo) - 1;
    const auto pair = static_cast<unsigned>(unit);
    const IVec lo = iload(cell + 64 * (pair * kLo / 16));
    IVec even = iand(ishr(lo, pair * kLo % 16), kLoMask);
    IVec odd = iand(ishr(lo, 16 + pair * kLo % 16), kLoMask);
    if constexpr (Fmt::kHiBits > 0) {
      constexpr unsigned kHi = Fmt::kHiBits;
      constexpr int32_t kHiMask = ((1 << kHi) - 1) << kLo;
      const IVec hi = iload(cell + Fmt::kLoBytes + 64 * (pair * kHi / 16));
      const unsigned at = pair * kHi % 16;
      even = ior(even, iand(at >= kLo ? ishr(hi, at - kLo) : ishl(hi, kLo - at), kHiMask));
      odd = ior(odd, iand(ishr(hi, 16 + at - kLo), kHiMask));
    }
    out[0] = code_to_f32<F>(even);
    out[1] = code_to_f32<F>(odd);
  }
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

// How activations meet weights: what a step of the innermost loop multiplies. For _isa.cpp files only.
#pragma once

#include <cstdint>

#include "kernels/cpu/linear_decode.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

// F32 activations: one column of 16 rows a step.
struct ActF32 {
  using X = float;
  using W = Vec;
  static constexpr int kCols = 1;
  // Register tiles: tokens x groups of rows, from panels and straight from packed memory. A tile of the
  // latter takes several cells at a time where it would else have too few sums under way to hide the latency
  // of an addition.
#if defined(PEGA_ISA_avx512)
  static constexpr int kTileTokens = 6;
  static constexpr int kTileGroups = 2;
  static constexpr int direct_groups(int /*tokens*/) { return 2; }
#elif defined(PEGA_ISA_avx2)
  static constexpr int kTileTokens = 6;
  static constexpr int kTileGroups = 1;
  static constexpr int direct_groups(int tokens) { return tokens == 1 ? 2 : 1; }
#else
  static constexpr int kTileTokens = 2;
  static constexpr int kTileGroups = 1;
  static constexpr int direct_groups(int /*tokens*/) { return 1; }
#endif
  static constexpr int direct_cells(int /*tokens*/) { return 1; }
  static constexpr bool kPanels = true;  // more tokens than kDirectTokens are worth unpacking weights for
  static constexpr int kDirectTokens = 2;
  static constexpr int64_t kChunkCells = 8;  // of k, in a panel of two groups: 32 KiB

  template <WeightFormat F>
  static constexpr bool kInPlace = F == WeightFormat::kF32;  // packed cells are panels already
  template <WeightFormat F>
  static constexpr int kUnitSteps = kUnitCols<F>;  // that decode() makes at a time

  PEGA_INLINE static W load(const uint8_t* p) { return ibits(iload(p)); }
  PEGA_INLINE static void store(uint8_t* p, W w) { vstore(reinterpret_cast<float*>(p), w); }
  PEGA_INLINE static Vec step(Vec sum, W w, const X* x) { return vfma(w, vset(*x), sum); }
  template <WeightFormat F>
  PEGA_INLINE static void decode(const uint8_t* cell, int unit, W (&out)[kUnitSteps<F>]) {
    decode_f32<F>(cell, unit, out);
  }
};

#if defined(PEGA_ISA_avx512)

// The integers of codes 0..63 as BF16 (periodic where a format has fewer codes: a lookup ignores high bits).
template <WeightFormat F>
struct Bf16Table {
  uint16_t value[64];
  constexpr Bf16Table() : value() {
    constexpr int kCodes = 1 << (Format<F>::kLoBits + Format<F>::kHiBits);
    for (int i = 0; i < 64; ++i) {
      const auto f = static_cast<float>(code_value(F, i % kCodes));
      value[i] = static_cast<uint16_t>(__builtin_bit_cast(uint32_t, f) >> 16);
    }
  }
};
// The bytes of the BF16 magnitudes 0..127.
struct MagnitudeTable {
  uint8_t low[128];
  uint8_t high[128];
  constexpr MagnitudeTable() : low(), high() {
    for (int i = 0; i < 128; ++i) {
      const uint32_t bits = __builtin_bit_cast(uint32_t, static_cast<float>(i)) >> 16;
      low[i] = static_cast<uint8_t>(bits);
      high[i] = static_cast<uint8_t>(bits >> 8);
    }
  }
};
template <WeightFormat F>
alignas(64) constexpr Bf16Table<F> kBf16Table{};
alignas(64) constexpr MagnitudeTable kMagnitudes{};

PEGA_INLINE __m512i srl16(__m512i v, unsigned n) {
  return _mm512_srl_epi16(v, _mm_cvtsi32_si128(static_cast<int>(n)));
}
PEGA_INLINE __m512i sll16(__m512i v, unsigned n) {
  return _mm512_sll_epi16(v, _mm_cvtsi32_si128(static_cast<int>(n)));
}

// BF16 activations: a pair of columns of 16 rows a step, summed in F32 by vdpbf16ps.
struct ActBf16 {
  using X = uint16_t;
  using W = __m512i;
  static constexpr int kCols = 2;
  static constexpr int kDirectTokens = 6;
  static constexpr int direct_groups(int tokens) { return tokens > 3 ? 2 : 1; }
  static constexpr int direct_cells(int tokens) { return tokens == 1 ? 4 : tokens <= 3 ? 3 : 1; }
  static constexpr bool kPanels = false;  // unpacking in registers is hidden behind the products
  static constexpr int64_t kChunkCells = 16;

  template <WeightFormat F>
  static constexpr int kUnitSteps = Format<F>::kLoBits == 8 ? 2 : 1;

  PEGA_INLINE static W load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  PEGA_INLINE static Vec step(Vec sum, W w, const X* x) {
    int32_t pair;
    std::memcpy(&pair, x, sizeof pair);
    return _mm512_dpbf16_ps(sum, (__m512bh)w, (__m512bh)_mm512_set1_epi32(pair));
  }

  template <WeightFormat F>
  PEGA_INLINE static void decode(const uint8_t* cell, int unit, W (&out)[kUnitSteps<F>]) {
    if constexpr (F == WeightFormat::kBF16) {
      out[0] = load(cell + 64 * unit);
    } else if constexpr (Format<F>::kLoBits == 8) {
      decode_int8(load(cell + 64 * unit), out);
    } else {
      out[0] = decode_codes<F>(cell, static_cast<unsigned>(unit));
    }
  }

 private:
  // The bytes of a BF16 integer come from two tables of 128 by its magnitude; -128 has none there and is put
  // in.
  PEGA_INLINE static void decode_int8(W quads, W (&out)[2]) {
    // In each 128 bits: the first pair of four rows, then the second.
    const W order =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    const W sign = _mm512_set1_epi8(-128);
    const W high_of_minus_128 = _mm512_set1_epi8(static_cast<char>(0xc3));
    const W q = _mm512_shuffle_epi8(quads, order);
    const W magnitude = _mm512_abs_epi8(q);
    const W low = _mm512_permutex2var_epi8(load(kMagnitudes.low), magnitude, load(kMagnitudes.low + 64));
    W high = _mm512_permutex2var_epi8(load(kMagnitudes.high), magnitude, load(kMagnitudes.high + 64));
    high = _mm512_ternarylogic_epi32(high, q, sign, 0xf8);  // high | (q & sign)
    high = _mm512_mask_mov_epi8(high, _mm512_cmpeq_epi8_mask(q, sign), high_of_minus_128);
    out[0] = _mm512_unpacklo_epi8(low, high);
    out[1] = _mm512_unpackhi_epi8(low, high);
  }

  template <WeightFormat F>
  PEGA_INLINE static W decode_codes(const uint8_t* cell, unsigned pair) {
    using Fmt = Format<F>;
    constexpr unsigned kLo = Fmt::kLoBits;
    constexpr unsigned kHi = Fmt::kHiBits == 0 ? 1 : Fmt::kHiBits;
    const uint16_t* table = kBf16Table<F>.value;
    const unsigned lo_at = pair * kLo % 16;
    W code = load(cell + 64 * (pair * kLo / 16));
    if (lo_at != 0) code = srl16(code, lo_at);
    if constexpr (Fmt::kHiBits > 0) {
      const unsigned hi_at = pair * kHi % 16;
      W hi = load(cell + Fmt::kLoBytes + 64 * (pair * kHi / 16));
      if (hi_at < kLo) hi = sll16(hi, kLo - hi_at);
      if (hi_at > kLo) hi = srl16(hi, hi_at - kLo);
      code = _mm512_ternarylogic_epi32(_mm512_set1_epi16((1 << kLo) - 1), code, hi,
                                       0xca);  // low bits ? code : hi
    }
    if constexpr (kLo + Fmt::kHiBits > 5)
      return _mm512_permutex2var_epi16(_mm512_loadu_si512(table), code, _mm512_loadu_si512(table + 32));
    return _mm512_permutexvar_epi16(code, _mm512_loadu_si512(table));
  }
};

#endif

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

// vec.h with 16 lanes of AVX-512.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vec_macros.h"

// GCC 12's own intrinsics headers read undefined values on purpose and warn about it.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

inline constexpr int kLanes = 16;

struct Vf {
  __m512 v;
};
struct Mask {
  __mmask16 m;
};
struct SumF64 {  // kLanes running sums
  __m512d low = _mm512_setzero_pd();
  __m512d high = _mm512_setzero_pd();
};

PEGA_INLINE Vf broadcast(float x) { return {_mm512_set1_ps(x)}; }
PEGA_INLINE Vf load(const float* p) { return {_mm512_loadu_ps(p)}; }
PEGA_INLINE Vf load(const uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
// The first n lanes, 0 <= n < kLanes; the others are zero.
PEGA_INLINE Mask first_lanes(int n) {
  return {static_cast<__mmask16>((1U << static_cast<unsigned>(n)) - 1U)};
}
PEGA_INLINE Vf load_first(const float* p, int n) { return {_mm512_maskz_loadu_ps(first_lanes(n).m, p)}; }
PEGA_INLINE Vf load_first(const uint16_t* p, int n) {
  const __m256i half = _mm256_maskz_loadu_epi16(first_lanes(n).m, p);
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
PEGA_INLINE void store(float* p, Vf a) { _mm512_storeu_ps(p, a.v); }
PEGA_INLINE void store(uint16_t* p, Vf a) {  // rounds to nearest even
  const __m256i bits = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a.v));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bits);
}
PEGA_INLINE void store_first(float* p, Vf a, int n) { _mm512_mask_storeu_ps(p, first_lanes(n).m, a.v); }
PEGA_INLINE void store_first(uint16_t* p, Vf a, int n) {
  const __m256i bits = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a.v));
  _mm256_mask_storeu_epi16(p, first_lanes(n).m, bits);
}
PEGA_INLINE Vf round_to_bf16(Vf a) {
  const __m256i bits = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(a.v));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
}
PEGA_INLINE Vf operator+(Vf a, Vf b) { return {_mm512_add_ps(a.v, b.v)}; }
PEGA_INLINE Vf operator-(Vf a, Vf b) { return {_mm512_sub_ps(a.v, b.v)}; }
PEGA_INLINE Vf operator*(Vf a, Vf b) { return {_mm512_mul_ps(a.v, b.v)}; }
PEGA_INLINE Vf operator/(Vf a, Vf b) { return {_mm512_div_ps(a.v, b.v)}; }
PEGA_INLINE Vf fma(Vf a, Vf b, Vf c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }  // a * b + c
// A NaN in b gives NaN; one in a gives b.
PEGA_INLINE Vf max(Vf a, Vf b) { return {_mm512_max_ps(a.v, b.v)}; }
PEGA_INLINE Vf min(Vf a, Vf b) { return {_mm512_min_ps(a.v, b.v)}; }
PEGA_INLINE float reduce_add(Vf a) { return _mm512_reduce_add_ps(a.v); }
PEGA_INLINE float reduce_max(Vf a) { return _mm512_reduce_max_ps(a.v); }
PEGA_INLINE Mask is_nan(Vf a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
PEGA_INLINE Mask operator>=(Vf a, Vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GE_OQ)}; }
PEGA_INLINE Mask operator>(Vf a, Vf b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_GT_OQ)}; }
PEGA_INLINE Mask operator|(Mask a, Mask b) { return {static_cast<__mmask16>(a.m | b.m)}; }
PEGA_INLINE Mask operator&(Mask a, Mask b) { return {static_cast<__mmask16>(a.m & b.m)}; }
PEGA_INLINE Mask no_lanes() { return {0}; }
PEGA_INLINE bool any(Mask a) { return a.m != 0; }
PEGA_INLINE uint32_t bits_of(Mask a) { return a.m; }  // bit i: lane i
PEGA_INLINE Vf select(Mask which, Vf yes, Vf no) { return {_mm512_mask_blend_ps(which.m, no.v, yes.v)}; }
PEGA_INLINE Vf round_to_int(Vf a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT)}; }
PEGA_INLINE Vf scale_by_pow2(Vf a, Vf n) { return {_mm512_scalef_ps(a.v, n.v)}; }
PEGA_INLINE void add_to(SumF64& sum, Vf a) {
  sum.low = _mm512_add_pd(sum.low, _mm512_cvtps_pd(_mm512_castps512_ps256(a.v)));
  sum.high = _mm512_add_pd(sum.high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.v, 1)));
}
PEGA_INLINE double reduce(const SumF64& sum) {
  return _mm512_reduce_add_pd(_mm512_add_pd(sum.low, sum.high));
}
// kLanes pairs of BF16: the first of each, the second of each.
PEGA_INLINE void widen_pairs(__m512i pairs, Vf& first, Vf& second) {
  first = {_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16))};
  second = {_mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(-65536)))};
}
PEGA_INLINE void load_pairs(const uint16_t* p, Vf& first, Vf& second) {
  widen_pairs(_mm512_loadu_si512(p), first, second);
}
PEGA_INLINE void load_first_pairs(const uint16_t* p, int n, Vf& first, Vf& second) {
  widen_pairs(_mm512_maskz_loadu_epi32(first_lanes(n).m, p), first, second);
}
// sum + a[0] * b[0] + a[1] * b[1] for one pair a against kLanes pairs b.
#define PEGA_HAS_BF16_DOT 1
PEGA_INLINE Vf dot_pairs(Vf sum, const uint16_t* a, __m512i b) {
  int32_t pair;
  std::memcpy(&pair, a, sizeof(pair));
  return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(b),
                           reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)))};
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

// vec.h with 8 lanes of AVX2 and FMA.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vec_macros.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

inline constexpr int kLanes = 8;

struct Vf {
  __m256 v;
};
struct Mask {
  __m256 m;
};
struct SumF64 {
  __m256d low = _mm256_setzero_pd();
  __m256d high = _mm256_setzero_pd();
};

PEGA_INLINE Vf broadcast(float x) { return {_mm256_set1_ps(x)}; }
PEGA_INLINE Vf load(const float* p) { return {_mm256_loadu_ps(p)}; }
PEGA_INLINE Vf widen(__m128i half) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
}
PEGA_INLINE Vf load(const uint16_t* p) { return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
PEGA_INLINE __m256i first_lanes_int(int n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
PEGA_INLINE Mask first_lanes(int n) { return {_mm256_castsi256_ps(first_lanes_int(n))}; }
PEGA_INLINE Vf load_first(const float* p, int n) { return {_mm256_maskload_ps(p, first_lanes_int(n))}; }
PEGA_INLINE Vf load_first(const uint16_t* p, int n) {
  alignas(16) uint16_t padded[8] = {};
  std::memcpy(padded, p, static_cast<size_t>(n) * sizeof(uint16_t));
  return load(padded);
}
PEGA_INLINE __m256i rounded_bits(__m256 a) {  // BF16 in the low half of each lane, to nearest even
  const __m256i u = _mm256_castps_si256(a);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(u, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(a, a, _CMP_UNORD_Q)));
}
PEGA_INLINE void store(float* p, Vf a) { _mm256_storeu_ps(p, a.v); }
PEGA_INLINE void store(uint16_t* p, Vf a) {
  const __m256i bits = rounded_bits(a.v);
  const __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), packed);
}
PEGA_INLINE void store_first(float* p, Vf a, int n) { _mm256_maskstore_ps(p, first_lanes_int(n), a.v); }
PEGA_INLINE void store_first(uint16_t* p, Vf a, int n) {
  alignas(16) uint16_t padded[8];
  store(padded, a);
  std::memcpy(p, padded, static_cast<size_t>(n) * sizeof(uint16_t));
}
PEGA_INLINE Vf round_to_bf16(Vf a) { return {_mm256_castsi256_ps(_mm256_slli_epi32(rounded_bits(a.v), 16))}; }
PEGA_INLINE Vf operator+(Vf a, Vf b) { return {_mm256_add_ps(a.v, b.v)}; }
PEGA_INLINE Vf operator-(Vf a, Vf b) { return {_mm256_sub_ps(a.v, b.v)}; }
PEGA_INLINE Vf operator*(Vf a, Vf b) { return {_mm256_mul_ps(a.v, b.v)}; }
PEGA_INLINE Vf operator/(Vf a, Vf b) { return {_mm256_div_ps(a.v, b.v)}; }
PEGA_INLINE Vf fma(Vf a, Vf b, Vf c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
PEGA_INLINE Vf max(Vf a, Vf b) { return {_mm256_max_ps(a.v, b.v)}; }
PEGA_INLINE Vf min(Vf a, Vf b) { return {_mm256_min_ps(a.v, b.v)}; }
PEGA_INLINE float reduce_add(Vf a) {
  const __m128 half = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 quarter = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
}
PEGA_INLINE float reduce_max(Vf a) {
  const __m128 half = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 quarter = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(quarter, _mm_movehdup_ps(quarter)));
}
PEGA_INLINE Mask is_nan(Vf a) { return {_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q)}; }
PEGA_INLINE Mask operator>=(Vf a, Vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GE_OQ)}; }
PEGA_INLINE Mask operator>(Vf a, Vf b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_GT_OQ)}; }
PEGA_INLINE Mask operator|(Mask a, Mask b) { return {_mm256_or_ps(a.m, b.m)}; }
PEGA_INLINE Mask operator&(Mask a, Mask b) { return {_mm256_and_ps(a.m, b.m)}; }
PEGA_INLINE Mask no_lanes() { return {_mm256_setzero_ps()}; }
PEGA_INLINE uint32_t bits_of(Mask a) { return static_cast<uint32_t>(_mm256_movemask_ps(a.m)); }
PEGA_INLINE bool any(Mask a) { return bits_of(a) != 0; }
PEGA_INLINE Vf select(Mask which, Vf yes, Vf no) { return {_mm256_blendv_ps(no.v, yes.v, which.m)}; }
PEGA_INLINE Vf round_to_int(Vf a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
PEGA_INLINE Vf scale_by_pow2(Vf a, Vf n) {  // |n| <= 200: two steps, so that subnormal results are reached
  const __m256i whole = _mm256_cvtps_epi32(n.v);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), bias), 23);
  return {_mm256_mul_ps(_mm256_mul_ps(a.v, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second))};
}
PEGA_INLINE void add_to(SumF64& sum, Vf a) {
  sum.low = _mm256_add_pd(sum.low, _mm256_cvtps_pd(_mm256_castps256_ps128(a.v)));
  sum.high = _mm256_add_pd(sum.high, _mm256_cvtps_pd(_mm256_extractf128_ps(a.v, 1)));
}
PEGA_INLINE double reduce(const SumF64& sum) {
  const __m256d both = _mm256_add_pd(sum.low, sum.high);
  const __m128d half = _mm_add_pd(_mm256_castpd256_pd128(both), _mm256_extractf128_pd(both, 1));
  return _mm_cvtsd_f64(_mm_add_sd(half, _mm_unpackhi_pd(half, half)));
}

PEGA_INLINE void widen_pairs(__m256i pairs, Vf& first, Vf& second) {
  first = {_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16))};
  second = {_mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(-65536)))};
}
PEGA_INLINE void load_pairs(const uint16_t* p, Vf& first, Vf& second) {
  widen_pairs(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), first, second);
}
PEGA_INLINE void load_first_pairs(const uint16_t* p, int n, Vf& first, Vf& second) {
  int32_t padded[8] = {};
  std::memcpy(padded, p, static_cast<size_t>(n) * sizeof(int32_t));
  widen_pairs(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(padded)), first, second);
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

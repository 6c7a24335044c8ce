// Sixteen lanes (the rows of a group) as two AVX registers. See linear_vec.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace pegainfer::cpu::PEGA_ISA {
namespace {

struct Vec {
  __m256 a, b;
};
struct IVec {
  __m256i a, b;
};

inline Vec vzero() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
inline Vec vset(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
inline Vec vload(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
inline void vstore(float* p, Vec v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
inline Vec vadd(Vec x, Vec y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
inline Vec vsub(Vec x, Vec y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
inline Vec vmul(Vec x, Vec y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
inline Vec vfma(Vec x, Vec y, Vec z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
inline __m128i load_16_bytes(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline Vec vload_f16(const uint8_t* p) {
  return {_mm256_cvtph_ps(load_16_bytes(p)), _mm256_cvtph_ps(load_16_bytes(p + 16))};
}
inline Vec vload_bf16(const uint16_t* p) {
  const __m256i a = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16_bytes(p)), 16);
  const __m256i b = _mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16_bytes(p + 8)), 16);
  return {_mm256_castsi256_ps(a), _mm256_castsi256_ps(b)};
}
inline __m256 lookup16(__m256i code, const float* table) {
  const __m256 low = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), code);
  const __m256 high = _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), code);
  return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(code, 28)));
}
inline Vec vlookup16(IVec code, const float* table) {
  return {lookup16(code.a, table), lookup16(code.b, table)};
}

inline IVec iload(const uint8_t* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32))};
}
inline IVec iload_u8(const uint8_t* p) {
  const __m128i bytes = load_16_bytes(p);
  return {_mm256_cvtepu8_epi32(bytes), _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8))};
}
inline IVec iload_i8(const uint8_t* p) {
  const __m128i bytes = load_16_bytes(p);
  return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
}
inline IVec iand(IVec x, int32_t mask) {
  const __m256i m = _mm256_set1_epi32(mask);
  return {_mm256_and_si256(x.a, m), _mm256_and_si256(x.b, m)};
}
inline IVec ior(IVec x, IVec y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
inline IVec ishl(IVec x, unsigned n) {
  const __m128i count = _mm_cvtsi32_si128(static_cast<int>(n));
  return {_mm256_sll_epi32(x.a, count), _mm256_sll_epi32(x.b, count)};
}
inline IVec ishr(IVec x, unsigned n) {
  const __m128i count = _mm_cvtsi32_si128(static_cast<int>(n));
  return {_mm256_srl_epi32(x.a, count), _mm256_srl_epi32(x.b, count)};
}
inline IVec isra(IVec x, unsigned n) {
  const __m128i count = _mm_cvtsi32_si128(static_cast<int>(n));
  return {_mm256_sra_epi32(x.a, count), _mm256_sra_epi32(x.b, count)};
}
inline Vec ifloat(IVec x) { return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)}; }
inline Vec ibits(IVec x) { return {_mm256_castsi256_ps(x.a), _mm256_castsi256_ps(x.b)}; }

inline __m256i to_bf16(__m256 v) {  // in the low half of each lane
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256 nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
  const __m256 picked = _mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), nan);
  return _mm256_srli_epi32(_mm256_castps_si256(picked), 16);
}
// Rounded to nearest even; NaN stays NaN.
inline void vstore_bf16(uint16_t* p, Vec v) {
  const __m256i packed = _mm256_packus_epi32(to_bf16(v.a), to_bf16(v.b));  // lanes of 128 bits interleave
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_permute4x64_epi64(packed, 0xd8));
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

// Sixteen lanes (the rows of a group) as one AVX-512 register. See linear_vec.h.
#pragma once

// GCC 12 takes its own "undefined" operands for a mistake (bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <cstdint>
#include <cstring>

namespace pegainfer::cpu::PEGA_ISA {
namespace {

using Vec = __m512;
using IVec = __m512i;

inline Vec vzero() { return _mm512_setzero_ps(); }
inline Vec vset(float v) { return _mm512_set1_ps(v); }
inline Vec vload(const float* p) { return _mm512_loadu_ps(p); }
inline void vstore(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec vadd(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec vsub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec vmul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec vfma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
inline Vec vload_f16(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vec vload_bf16(const uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
inline Vec vlookup16(IVec code, const float* table) { return _mm512_permutexvar_ps(code, vload(table)); }

inline IVec iload(const uint8_t* p) { return _mm512_loadu_si512(p); }
inline IVec iload_u8(const uint8_t* p) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline IVec iload_i8(const uint8_t* p) {
  return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline IVec iand(IVec a, int32_t mask) { return _mm512_and_si512(a, _mm512_set1_epi32(mask)); }
inline IVec ior(IVec a, IVec b) { return _mm512_or_si512(a, b); }
inline IVec ishl(IVec a, unsigned n) { return _mm512_sll_epi32(a, _mm_cvtsi32_si128(static_cast<int>(n))); }
inline IVec ishr(IVec a, unsigned n) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(static_cast<int>(n))); }
inline IVec isra(IVec a, unsigned n) { return _mm512_sra_epi32(a, _mm_cvtsi32_si128(static_cast<int>(n))); }
inline Vec ifloat(IVec a) { return _mm512_cvtepi32_ps(a); }
inline Vec ibits(IVec a) { return _mm512_castsi512_ps(a); }

// Rounded to nearest even; NaN stays NaN. (vcvtneps2bf16 would flush subnormals.)
inline void vstore_bf16(uint16_t* p, Vec v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m512i out = _mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(out));
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

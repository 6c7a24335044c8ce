// Eight neighbouring values of a block in checkpoint layout, exactly as src/kernels/cpu dequantizes them.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "tensor/dtype.h"

namespace pegainfer::cuda {

__device__ __forceinline__ float half_at(const uint8_t* p) {  // blocks have an even number of bytes
  return __half2float(__ushort_as_half(*reinterpret_cast<const uint16_t*>(p)));
}
__device__ __forceinline__ uint32_t word_at(const uint8_t* p) {
  const auto* halves = reinterpret_cast<const uint16_t*>(p);
  return halves[0] | uint32_t{halves[1]} << 16U;
}

// Scale and minimum `sub` of the eight 6-bit pairs in 12 bytes.
__device__ __forceinline__ void scale_6bit(const uint8_t* p, int sub, uint32_t& scale, uint32_t& min) {
  if (sub < 4) {
    scale = p[sub] & 63U;
    min = p[sub + 4] & 63U;
  } else {
    scale = (p[sub + 4] & 15U) | (static_cast<uint32_t>(p[sub - 4]) >> 6U) << 4U;
    min = (static_cast<uint32_t>(p[sub + 4]) >> 4U) | (static_cast<uint32_t>(p[sub]) >> 6U) << 4U;
  }
}

// Signed scale `sub` of Q3_K's sixteen, in 12 bytes.
__device__ __forceinline__ int scale_q3(const uint8_t* p, int sub) {
  const uint32_t low = sub < 8 ? p[sub] & 15U : static_cast<uint32_t>(p[sub - 8]) >> 4U;
  const uint32_t high = (static_cast<uint32_t>(p[8 + sub % 4]) >> (2 * (sub / 4))) & 3U;
  return static_cast<int>(low | high << 4U) - 32;
}

// value * scale + min, each rounded to F32; without a minimum the sum is left out.
template <bool kHasMin>
__device__ __forceinline__ float scaled(float value, float scale, float min) {
  const float product = __fmul_rn(value, scale);
  return kHasMin ? __fadd_rn(product, min) : product;
}

// IQ4_NL's value of a code, out of four registers: -127 -104 -83 -65, -49 -35 -22 -10, 1 13 25 38, 53 69 89
// 113.
__device__ __forceinline__ int non_linear(uint32_t code) {
  const uint32_t low = __byte_perm(0xbfad9881U, 0xf6eaddcfU, code & 7U);
  const uint32_t high = __byte_perm(0x26190d01U, 0x71594535U, code & 7U);
  return static_cast<int8_t>(code < 8 ? low : high);
}

// Formats of 32 columns a block: columns first .. first + 7, first a multiple of 8.
template <WeightFormat kFormat>
__device__ __forceinline__ void decode_32(const uint8_t* p, int first, float (&out)[8]) {
  using enum WeightFormat;
  constexpr bool kMin = kFormat == kQ4_1 || kFormat == kQ5_1;
  constexpr bool kFifth = kFormat == kQ5_0 || kFormat == kQ5_1;
  const float scale = half_at(p);
  const float min = kMin ? half_at(p + 2) : 0.0F;
  if constexpr (kFormat == kQ8_0) {
#pragma unroll
    for (int i = 0; i < 8; ++i) out[i] = scaled<false>(static_cast<int8_t>(p[2 + first + i]), scale, 0);
  } else {
    const uint8_t* qh = p + (kMin ? 4 : 2);
    const uint8_t* qs = qh + (kFifth ? 4 : 0) + first % 16;
    const uint32_t fifth = kFifth ? word_at(qh) >> first : 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      uint32_t code = (static_cast<uint32_t>(qs[i]) >> (first / 16 * 4)) & 15U;
      if constexpr (kFifth) code |= ((fifth >> i) & 1U) << 4U;
      int value = static_cast<int>(code);
      if constexpr (kFormat == kQ4_0) value -= 8;
      if constexpr (kFormat == kQ5_0) value -= 16;
      if constexpr (kFormat == kIQ4_NL) value = non_linear(code);
      out[i] = scaled<kMin>(static_cast<float>(value), scale, min);
    }
  }
}

// Formats of 256 columns a block.
template <WeightFormat kFormat>
__device__ __forceinline__ void decode_256(const uint8_t* p, int first, float (&out)[8]) {
  using enum WeightFormat;
  const int l = first % 32;
  const int part = first / 32;
  if constexpr (kFormat == kQ2_K) {  // scales [16], qs [64], d, dmin
    const uint32_t sc = p[first / 16];
    const float scale = __fmul_rn(half_at(p + 80), static_cast<float>(sc & 15U));
    const float min = -__fmul_rn(half_at(p + 82), static_cast<float>(sc >> 4U));
    const uint8_t* qs = p + 16 + part / 4 * 32 + l;
#pragma unroll
    for (int i = 0; i < 8; ++i)
      out[i] =
          scaled<true>(static_cast<float>((static_cast<uint32_t>(qs[i]) >> (part % 4 * 2)) & 3U), scale, min);
  } else if constexpr (kFormat == kQ3_K) {  // hmask [32], qs [64], scales [12], d
    const float scale = __fmul_rn(half_at(p + 108), static_cast<float>(scale_q3(p + 96, first / 16)));
    const uint8_t* qs = p + 32 + part / 4 * 32 + l;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint32_t low = (static_cast<uint32_t>(qs[i]) >> (part % 4 * 2)) & 3U;
      const uint32_t high = (static_cast<uint32_t>(p[l + i]) >> part) & 1U;
      out[i] = scaled<false>(static_cast<float>(static_cast<int>(low | high << 2U) - 4), scale, 0);
    }
  } else if constexpr (kFormat == kQ4_K || kFormat == kQ5_K) {  // d, dmin, scales [12], (qh [32],) qs [128]
    uint32_t sc = 0;
    uint32_t m = 0;
    scale_6bit(p + 4, part, sc, m);
    const float scale = __fmul_rn(half_at(p), static_cast<float>(sc));
    const float min = -__fmul_rn(half_at(p + 2), static_cast<float>(m));
    const uint8_t* qs = p + (kFormat == kQ5_K ? 48 : 16) + part / 2 * 32 + l;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      uint32_t code = (static_cast<uint32_t>(qs[i]) >> (part % 2 * 4)) & 15U;
      if constexpr (kFormat == kQ5_K) code |= ((static_cast<uint32_t>(p[16 + l + i]) >> part) & 1U) << 4U;
      out[i] = scaled<true>(static_cast<float>(code), scale, min);
    }
  } else {  // Q6_K: ql [128], qh [64], scales [16], d
    const float scale =
        __fmul_rn(half_at(p + 208), static_cast<float>(static_cast<int8_t>(p[192 + first / 16])));
    const int quarter = part % 4;
    const uint8_t* ql = p + part / 4 * 64 + quarter % 2 * 32 + l;
    const uint8_t* qh = p + 128 + part / 4 * 32 + l;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const uint32_t low = (static_cast<uint32_t>(ql[i]) >> (quarter / 2 * 4)) & 15U;
      const uint32_t high = (static_cast<uint32_t>(qh[i]) >> (quarter * 2)) & 3U;
      out[i] = scaled<false>(static_cast<float>(static_cast<int>(low | high << 4U) - 32), scale, 0);
    }
  }
}

}  // namespace pegainfer::cuda

// vec.h with 4 lanes in the compiler's vector extension.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/cpu/vec_macros.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

inline constexpr int kLanes = 4;

typedef float Float4 __attribute__((vector_size(16)));
typedef int32_t Int4 __attribute__((vector_size(16)));
typedef uint32_t Uint4 __attribute__((vector_size(16)));

struct Vf {
  Float4 v;
};
struct Mask {
  Int4 m;
};
struct SumF64 {
  double lane[4] = {};
};

PEGA_INLINE Vf broadcast(float x) { return {Float4{x, x, x, x}}; }
PEGA_INLINE Vf load(const float* p) {
  Vf a;
  std::memcpy(&a.v, p, sizeof(a.v));
  return a;
}
PEGA_INLINE Vf load(const uint16_t* p) {
  const Uint4 bits = Uint4{p[0], p[1], p[2], p[3]} << 16U;
  return {reinterpret_cast<Float4>(bits)};
}
PEGA_INLINE Mask first_lanes(int n) { return {Int4{0, 1, 2, 3} < n}; }
template <class T>
PEGA_INLINE Vf load_first(const T* p, int n) {
  T padded[4] = {};
  std::memcpy(padded, p, static_cast<size_t>(n) * sizeof(T));
  return load(padded);
}
PEGA_INLINE Uint4 rounded_bits(Float4 a) {
  const Uint4 u = reinterpret_cast<Uint4>(a);
  const Uint4 rounded = (u + 0x7fffU + ((u >> 16U) & 1U)) >> 16U;
  const Uint4 nan = reinterpret_cast<Uint4>(a != a);
  return (rounded & ~nan) | (((u >> 16U) | 0x40U) & nan);
}
PEGA_INLINE void store(float* p, Vf a) { std::memcpy(p, &a.v, sizeof(a.v)); }
PEGA_INLINE void store(uint16_t* p, Vf a) {
  const Uint4 bits = rounded_bits(a.v);
  for (int i = 0; i < 4; ++i) p[i] = static_cast<uint16_t>(bits[i]);
}
template <class T>
PEGA_INLINE void store_first(T* p, Vf a, int n) {
  T padded[4];
  store(padded, a);
  std::memcpy(p, padded, static_cast<size_t>(n) * sizeof(T));
}
PEGA_INLINE Vf round_to_bf16(Vf a) { return {reinterpret_cast<Float4>(rounded_bits(a.v) << 16U)}; }
PEGA_INLINE Vf operator+(Vf a, Vf b) { return {a.v + b.v}; }
PEGA_INLINE Vf operator-(Vf a, Vf b) { return {a.v - b.v}; }
PEGA_INLINE Vf operator*(Vf a, Vf b) { return {a.v * b.v}; }
PEGA_INLINE Vf operator/(Vf a, Vf b) { return {a.v / b.v}; }
PEGA_INLINE Vf fma(Vf a, Vf b, Vf c) {
  return {a.v * b.v + c.v};
}  // rounds twice: there may be no instruction
PEGA_INLINE Vf select(Mask which, Vf yes, Vf no) {
  const Int4 y = reinterpret_cast<Int4>(yes.v);
  const Int4 n = reinterpret_cast<Int4>(no.v);
  return {reinterpret_cast<Float4>((y & which.m) | (n & ~which.m))};
}
PEGA_INLINE Vf max(Vf a, Vf b) { return select({a.v > b.v}, a, b); }
PEGA_INLINE Vf min(Vf a, Vf b) { return select({a.v < b.v}, a, b); }
PEGA_INLINE float reduce_add(Vf a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
PEGA_INLINE float reduce_max(Vf a) {
  const float even = a.v[0] > a.v[2] ? a.v[0] : a.v[2];
  const float odd = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
  return even > odd ? even : odd;
}
PEGA_INLINE Mask is_nan(Vf a) { return {a.v != a.v}; }
PEGA_INLINE Mask operator>=(Vf a, Vf b) { return {a.v >= b.v}; }
PEGA_INLINE Mask operator>(Vf a, Vf b) { return {a.v > b.v}; }
PEGA_INLINE Mask operator|(Mask a, Mask b) { return {a.m | b.m}; }
PEGA_INLINE Mask operator&(Mask a, Mask b) { return {a.m & b.m}; }
PEGA_INLINE Mask no_lanes() { return {Int4{}}; }
PEGA_INLINE uint32_t bits_of(Mask a) {
  uint32_t bits = 0;
  for (int i = 0; i < 4; ++i) bits |= a.m[i] != 0 ? 1U << static_cast<unsigned>(i) : 0U;
  return bits;
}
PEGA_INLINE bool any(Mask a) { return bits_of(a) != 0; }
PEGA_INLINE Vf round_to_int(Vf a) {  // |a| < 2^22: the sum has no room for a fraction
  const Float4 shift = broadcast(12582912.0F).v;
  return {(a.v + shift) - shift};
}
PEGA_INLINE Vf scale_by_pow2(Vf a, Vf n) {
  const Int4 whole = __builtin_convertvector(n.v, Int4);
  const Int4 half = whole >> 1;
  const Int4 first = (half + 127) << 23;
  const Int4 second = (whole - half + 127) << 23;
  return {a.v * reinterpret_cast<Float4>(first) * reinterpret_cast<Float4>(second)};
}
PEGA_INLINE void add_to(SumF64& sum, Vf a) {
  for (int i = 0; i < 4; ++i) sum.lane[i] += static_cast<double>(a.v[i]);
}
PEGA_INLINE double reduce(const SumF64& sum) {
  return (sum.lane[0] + sum.lane[2]) + (sum.lane[1] + sum.lane[3]);
}
PEGA_INLINE void load_first_pairs(const uint16_t* p, int n, Vf& first, Vf& second) {
  Uint4 pairs = {};
  std::memcpy(&pairs, p, static_cast<size_t>(n) * sizeof(uint32_t));
  first = {reinterpret_cast<Float4>(pairs << 16U)};
  second = {reinterpret_cast<Float4>(pairs & 0xffff0000U)};
}
PEGA_INLINE void load_pairs(const uint16_t* p, Vf& first, Vf& second) {
  load_first_pairs(p, 4, first, second);
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

// Sixteen lanes (the rows of a group) as four vectors of four, which every 64-bit machine has. See
// linear_vec.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

using F4 = float __attribute__((vector_size(16)));
using I4 = int32_t __attribute__((vector_size(16)));
using U4 = uint32_t __attribute__((vector_size(16)));

struct Vec {
  F4 q[4];
};
struct IVec {
  U4 q[4];
};

template <class Out, class Fn>
inline Out each(Fn fn) {
  Out out;
  for (int i = 0; i < 4; ++i) out.q[i] = fn(i);
  return out;
}

inline Vec vset(float v) {
  return each<Vec>([v](int) { return F4{v, v, v, v}; });
}
inline Vec vzero() { return vset(0); }
inline Vec vload(const float* p) {
  Vec v;
  std::memcpy(v.q, p, sizeof v.q);
  return v;
}
inline void vstore(float* p, const Vec& v) { std::memcpy(p, v.q, sizeof v.q); }
inline Vec vadd(const Vec& a, const Vec& b) {
  return each<Vec>([&](int i) { return a.q[i] + b.q[i]; });
}
inline Vec vsub(const Vec& a, const Vec& b) {
  return each<Vec>([&](int i) { return a.q[i] - b.q[i]; });
}
inline Vec vmul(const Vec& a, const Vec& b) {
  return each<Vec>([&](int i) { return a.q[i] * b.q[i]; });
}
inline Vec vfma(const Vec& a, const Vec& b,
                const Vec& c) {  // two roundings: no machine instruction is assumed
  return each<Vec>([&](int i) { return a.q[i] * b.q[i] + c.q[i]; });
}
template <class Fn>
inline Vec lanes(Fn fn) {
  float v[16];
  for (int i = 0; i < 16; ++i) v[i] = fn(i);
  return vload(v);
}
inline uint16_t u16_at(const uint8_t* p) {
  uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline Vec vload_f16(const uint8_t* p) {
  return lanes([p](int i) { return f16_to_f32(u16_at(p + 2 * i)); });
}
inline Vec vload_bf16(const uint16_t* p) {
  return lanes([p](int i) { return bf16_to_f32(p[i]); });
}

inline IVec iload(const uint8_t* p) {
  IVec v;
  std::memcpy(v.q, p, sizeof v.q);
  return v;
}
template <class Fn>
inline IVec ilanes(Fn fn) {
  int32_t v[16];
  for (int i = 0; i < 16; ++i) v[i] = fn(i);
  return iload(reinterpret_cast<const uint8_t*>(v));
}
inline IVec iload_u8(const uint8_t* p) {
  return ilanes([p](int i) { return int32_t{p[i]}; });
}
inline IVec iload_i8(const uint8_t* p) {
  return ilanes([p](int i) { return int32_t{static_cast<int8_t>(p[i])}; });
}
inline IVec iand(const IVec& a, int32_t mask) {
  return each<IVec>([&](int i) { return a.q[i] & static_cast<uint32_t>(mask); });
}
inline IVec ior(const IVec& a, const IVec& b) {
  return each<IVec>([&](int i) { return a.q[i] | b.q[i]; });
}
inline IVec ishl(const IVec& a, unsigned n) {
  return each<IVec>([&](int i) { return a.q[i] << n; });
}
inline IVec ishr(const IVec& a, unsigned n) {
  return each<IVec>([&](int i) { return a.q[i] >> n; });
}
inline IVec isra(const IVec& a, unsigned n) {
  return each<IVec>([&](int i) { return (U4)((I4)a.q[i] >> n); });
}
inline Vec ifloat(const IVec& a) {
  return each<Vec>([&](int i) { return __builtin_convertvector((I4)a.q[i], F4); });
}
inline Vec ibits(const IVec& a) {
  return each<Vec>([&](int i) { return (F4)a.q[i]; });
}
inline Vec vlookup16(const IVec& code, const float* table) {
  uint32_t index[16];
  std::memcpy(index, code.q, sizeof index);
  return lanes([&](int i) { return table[index[i]]; });
}
// Rounded to nearest even; NaN stays NaN.
inline void vstore_bf16(uint16_t* p, const Vec& v) {
  float lane[16];
  vstore(lane, v);
  for (int i = 0; i < 16; ++i) p[i] = f32_to_bf16(lane[i]);
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

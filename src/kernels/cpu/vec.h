// A vector of floats in the widest register of the instruction set an _isa.cpp is compiled for, so that a
// kernel is written once. Everything is in an anonymous namespace: each source gets its own copy, made of its
// own instructions (isa.h says why). BF16 travels as uint16_t. Only for _isa.cpp files.
//
//   Vf      kLanes floats: broadcast, load, store (BF16 is widened, rounded to nearest even), + - * /, fma(a,
//   b, c) =
//           a * b + c, max, min, select, reduce_add and reduce_max in a fixed order; _first: the first n <
//           kLanes lanes
//   Mask    of lanes: first_lanes, is_nan, >= >, | &, any, bits_of (bit i: lane i)
//   SumF64  kLanes running sums in F64
#pragma once

#if defined(PEGA_ISA_avx512)
#include "kernels/cpu/vec_avx512.h"  // IWYU pragma: export
#elif defined(PEGA_ISA_avx2)
#include "kernels/cpu/vec_avx2.h"  // IWYU pragma: export
#else
#include "kernels/cpu/vec_portable.h"  // IWYU pragma: export
#endif

namespace pegainfer::cpu::PEGA_ISA {
namespace {

// e^x within about one unit in the last place; 0 below -103.98, infinity above 88.73, NaN for NaN.
// x = n ln2 + r with |r| <= ln2 / 2; ln2 in two parts so that r is exact enough; e^r = 1 + r + r^2 p(r), p a
// minimax fit.
PEGA_INLINE Vf exp(Vf x) {
  x = min(broadcast(89.0F), max(broadcast(-104.0F), x));
  const Vf n = round_to_int(x * broadcast(1.44269504F));
  Vf r = fma(n, broadcast(-0.693359375F), x);
  r = fma(n, broadcast(2.12194440e-4F), r);
  Vf p = broadcast(1.97903427e-4F);
  p = fma(p, r, broadcast(1.39446603e-3F));
  p = fma(p, r, broadcast(8.33349675e-3F));
  p = fma(p, r, broadcast(4.16662954e-2F));
  p = fma(p, r, broadcast(1.66666667e-1F));
  p = fma(p, r, broadcast(0.5F));
  const Vf e = fma(r * r, p, r) + broadcast(1.0F);
  return scale_by_pow2(e, n);
}

// std::min and std::max are function templates of another namespace: the compiler might emit them out of
// line.
template <class T>
PEGA_INLINE T lesser(T a, T b) {
  return b < a ? b : a;
}
template <class T>
PEGA_INLINE T greater(T a, T b) {
  return a < b ? b : a;
}
PEGA_INLINE int clamp(int x, int low, int high) { return lesser(greater(x, low), high); }

// Rows are walked in whole vectors, then one partial: the same lanes take the same columns in every call.
template <class T>
PEGA_INLINE Vf load_upto(const T* p, int64_t left) {
  return left >= kLanes ? load(p) : load_first(p, static_cast<int>(left));
}
template <class T>
PEGA_INLINE void store_upto(T* p, Vf a, int64_t left) {
  if (left >= kLanes) {
    store(p, a);
  } else {
    store_first(p, a, static_cast<int>(left));
  }
}

// F32 arithmetic keeps a value, BF16 rounds it: where PyTorch would materialise a tensor of type T.
template <class T>
PEGA_INLINE Vf materialise(Vf a);
template <>
PEGA_INLINE Vf materialise<float>(Vf a) {
  return a;
}
template <>
PEGA_INLINE Vf materialise<uint16_t>(Vf a) {
  return round_to_bf16(a);
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

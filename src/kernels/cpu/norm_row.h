// The RMS norm of one row, shared by the norms and by QK norm. Only for _isa.cpp files.
#pragma once

#include <cmath>

#include "kernels/cpu/vec.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

// Four running sums, so that the additions of a long row do not wait for each other.
template <class T>
float sum_of_squares(const T* x, int64_t cols) {
  Vf sums[4] = {broadcast(0), broadcast(0), broadcast(0), broadcast(0)};
  int64_t c = 0;
  for (; c + 4 * kLanes <= cols; c += 4 * kLanes) {
    for (int i = 0; i < 4; ++i) {
      const Vf v = load(x + c + i * kLanes);
      sums[i] = fma(v, v, sums[i]);
    }
  }
  for (; c < cols; c += kLanes) {
    const Vf v = load_upto(x + c, cols - c);
    sums[0] = fma(v, v, sums[0]);
  }
  return reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// out = round(round(x * rsqrt(mean(x^2) + eps)) * weight); out may be x.
template <class T>
void norm_row(const T* x, const float* weight, float eps, T* out, int64_t cols) {
  const float mean = sum_of_squares(x, cols) / static_cast<float>(cols);
  const Vf scale = broadcast(1.0F / __builtin_sqrtf(mean + eps));
  for (int64_t c = 0; c < cols; c += kLanes) {
    const Vf normalised = materialise<T>(load_upto(x + c, cols - c) * scale);
    store_upto(out + c, normalised * load_upto(weight + c, cols - c), cols - c);
  }
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

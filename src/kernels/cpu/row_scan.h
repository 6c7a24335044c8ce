// Whole-row scans that sampling and log-probabilities share. Only for _isa.cpp files.
#pragma once

#include <limits>

#include "kernels/cpu/vec.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

// The largest value; NaNs are passed over.
[[maybe_unused]] float max_of(const float* x, int64_t n) {
  Vf maxima = broadcast(-std::numeric_limits<float>::infinity());
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) maxima = max(load(x + i), maxima);
  float largest = reduce_max(maxima);
  for (; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  return largest;
}

[[maybe_unused]] bool has_nan(const float* x, int64_t n) {
  Mask found = no_lanes();
  for (int64_t i = 0; i < n; i += kLanes) found = found | is_nan(load_upto(x + i, n - i));
  return any(found);
}

// Index of the first element equal to `value`, which is there.
[[maybe_unused]] int64_t first_equal(const float* x, int64_t n, float value) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    if (any(load(x + i) >= broadcast(value))) break;
  }
  while (i + 1 < n && x[i] != value) ++i;
  return i;
}

}  // namespace
}  // namespace pegainfer::cpu::PEGA_ISA

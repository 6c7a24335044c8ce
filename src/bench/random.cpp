#include "bench/random.h"

#include <cmath>
#include <numbers>

namespace pegainfer::bench {

uint64_t Rng::next() {
  uint64_t x = (state_ += 0x9e3779b97f4a7c15ULL);
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

double Rng::uniform() { return static_cast<double>(next() >> 11U) * 0x1p-53; }

// The bias of the remainder is below 2^-40 for the ranges used here.
uint64_t Rng::below(uint64_t n) { return next() % n; }

int Rng::between(int low, int high) {
  return low + static_cast<int>(below(static_cast<uint64_t>(int64_t{high} - low + 1)));
}

double Rng::normal() {
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  return radius * std::cos(2 * std::numbers::pi * uniform());
}

double Rng::gamma(double shape) {
  if (shape < 1) return gamma(shape + 1) * std::pow(1 - uniform(), 1 / shape);
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  while (true) {
    const double x = normal();
    const double v = std::pow(1 + c * x, 3);
    if (v > 0 && std::log(1 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace pegainfer::bench

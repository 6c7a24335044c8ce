// Rng: random numbers that are the same everywhere for a seed, which the standard library's distributions
// are not.
#pragma once

#include <cstdint>

namespace pegainfer::bench {

class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}
  // splitmix64.
  uint64_t next();
  double uniform();                // [0, 1)
  uint64_t below(uint64_t n);      // [0, n)
  int between(int low, int high);  // [low, high]
  double normal();                 // mean 0, variance 1
  double gamma(double shape);      // scale 1; shape > 0 (Marsaglia and Tsang, 2000)

 private:
  uint64_t state_;
};

}  // namespace pegainfer::bench

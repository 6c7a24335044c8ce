// Division of 31-bit numbers by one that the host knows: a multiplication and a shift.
#pragma once

#include <cstdint>

namespace pegainfer::cuda {

struct Divider {
  uint32_t divisor = 1;
  uint32_t multiplier = 1;
  uint32_t shift = 0;

  Divider() = default;
  explicit Divider(uint32_t d) : divisor(d) {  // 0 < d < 2^31
    while ((1U << shift) < d) ++shift;
    multiplier = static_cast<uint32_t>(((uint64_t{1} << 32U) * ((uint64_t{1} << shift) - d)) / d + 1);
  }
#ifdef __CUDACC__
  // n / divisor and n % divisor, n < 2^31.
  __device__ __forceinline__ void divide(uint32_t n, uint32_t& quotient, uint32_t& rest) const {
    quotient = (__umulhi(n, multiplier) + n) >> shift;
    rest = n - quotient * divisor;
  }
#endif
};

}  // namespace pegainfer::cuda

// The weight of a token, exp((logit - largest) / temperature), bit for bit as src/kernels/cpu computes it;
// and sums of weights that do not depend on the order of the additions, for they are integers.
#pragma once

#include <cstdint>

namespace pegainfer::cuda {

// Weights are at most 1 and a row has at most 2^18 of them: in units of 2^-45 their sum fits 63 bits. A
// weight below half a unit, 1.4e-14, counts as none.
inline constexpr int kUnitBits = 45;
inline constexpr float kWeightUnits = 0x1p45F;
inline constexpr int64_t kMaxRow = int64_t{1} << 18;

// e^x 2^45 for -32 <= x <= 0: src/kernels/cpu/vec.h's e^x, of which the power of two is another. x = n ln2 +
// r, a polynomial of r, times 2^(n + 45). Adding and taking away 1.5 * 2^23 rounds to an integer, which
// stands in the low bits meanwhile.
__device__ __forceinline__ float scaled_exp(float x) {
  constexpr float kRounder = 12582912.0F;
  const float shifted = __fadd_rn(__fmul_rn(x, 1.44269504F), kRounder);
  const float n = __fsub_rn(shifted, kRounder);
  float r = __fmaf_rn(n, -0.693359375F, x);
  r = __fmaf_rn(n, 2.12194440e-4F, r);
  float p = 1.97903427e-4F;
  p = __fmaf_rn(p, r, 1.39446603e-3F);
  p = __fmaf_rn(p, r, 8.33349675e-3F);
  p = __fmaf_rn(p, r, 4.16662954e-2F);
  p = __fmaf_rn(p, r, 1.66666667e-1F);
  p = __fmaf_rn(p, r, 0.5F);
  const float e = __fadd_rn(__fmaf_rn(__fmul_rn(r, r), p, r), 1.0F);
  return __fmul_rn(e, __int_as_float((__float_as_int(shifted) << 23) + ((127 + kUnitBits) << 23)));
}

class Weigher {
 public:
  // Temperatures beyond the ends make the same weights as the ends do.
  __device__ __forceinline__ Weigher(float largest, float temperature)
      : largest_(largest), temperature_(fminf(fmaxf(temperature, 1e-30F), 1e30F)) {
    inverse_ = __frcp_rn(temperature_);
    lowest_ = __fmul_rn(-32.0F, temperature_);
  }
  // Values below this one have no weight.
  [[nodiscard]] __device__ __forceinline__ float lowest() const { return largest_ + lowest_; }
  [[nodiscard]] __device__ __forceinline__ float largest() const { return largest_; }

  // The weight of a token in units, not yet rounded to whole ones.
  [[nodiscard]] __device__ __forceinline__ float scaled(float x) const {
    const float distance = __fsub_rn(x, largest_);
    if (distance < lowest_) return 0;
    // distance / temperature, correctly rounded (Markstein).
    float q = __fmul_rn(distance, inverse_);
    q = __fmaf_rn(__fmaf_rn(-q, temperature_, distance), inverse_, q);
    return scaled_exp(q);
  }
  [[nodiscard]] __device__ __forceinline__ uint64_t operator()(float x) const {
    return __float2ull_rn(scaled(x));
  }

 private:
  float largest_;
  float temperature_;
  float inverse_;  // correctly rounded
  float lowest_;   // distance
};

// A total order of floats as integers; both zeros are one value. NaNs are not to be asked for.
__device__ __forceinline__ uint32_t order_key(float x) {
  const uint32_t bits = __float_as_uint(__fadd_rn(x, 0.0F));
  return bits ^ ((bits & 0x80000000U) != 0 ? 0xffffffffU : 0x80000000U);
}
__device__ __forceinline__ float from_order_key(uint32_t key) {
  return __uint_as_float(key ^ ((key & 0x80000000U) != 0 ? 0x80000000U : 0xffffffffU));
}

// Larger for a larger value, then for a lower id; 0 is below all.
__device__ __forceinline__ uint64_t candidate(float x, uint32_t id) {
  return uint64_t{order_key(x)} << 32U | (0xffffffffU - id);
}
__device__ __forceinline__ uint32_t id_of(uint64_t candidate) {
  return 0xffffffffU - static_cast<uint32_t>(candidate);
}
__device__ __forceinline__ float value_of(uint64_t candidate) {
  return from_order_key(static_cast<uint32_t>(candidate >> 32U));
}

}  // namespace pegainfer::cuda

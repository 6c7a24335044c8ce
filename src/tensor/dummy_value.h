// The values of made-up weights (--load-format dummy): a pure function of a part's name, a seed and the
// element's index, so that every backend makes the same bits. Plain C++ that CUDA code includes as well.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#define PEGA_HOST_DEVICE __host__ __device__
#else
#define PEGA_HOST_DEVICE
#endif

namespace pegainfer {

// sqrt(3) * 0.02: uniform in [-scale, scale) has a standard deviation of 0.02, that of usual initialisations.
inline constexpr float kDummyScale = 0.034641016F;

// Says which part of which weight is meant: FNV-1a over the name, mixed with the part's number and the seed.
constexpr uint64_t dummy_key(const char* name, size_t length, int part, uint64_t seed) {
  uint64_t h = 0xcbf29ce484222325U;
  for (size_t i = 0; i < length; ++i) h = (h ^ static_cast<unsigned char>(name[i])) * 0x100000001b3U;
  h ^= static_cast<uint64_t>(part) * 0x9e3779b97f4a7c15U;
  h ^= seed * 0xd1342543de82ef95U;  // odd: no two seeds meet
  h = (h ^ (h >> 30U)) * 0xbf58476d1ce4e5b9U;
  h = (h ^ (h >> 27U)) * 0x94d049bb133111ebU;
  return h ^ (h >> 31U);
}

// Two rounds of an invertible 32-bit mix, one for each half of the key.
PEGA_HOST_DEVICE constexpr uint32_t dummy_bits(uint64_t key, uint64_t index) {
  uint32_t x = static_cast<uint32_t>(index) ^ static_cast<uint32_t>(key);
  x += static_cast<uint32_t>(index >> 32U) * 0x9e3779b9U;
  for (int round = 0; round < 2; ++round) {
    x ^= x >> 16U;
    x *= 0x7feb352dU;
    x ^= x >> 15U;
    x *= 0x846ca68bU;
    x ^= x >> 16U;
    if (round == 0) x += static_cast<uint32_t>(key >> 32U);
  }
  return x;
}

// Element `index` = row * cols + col of the part: uniform in [-scale, scale), before rounding to the part's
// format (to nearest even). The integer and the power of two are exact, so there is one rounding, and nothing
// that a compiler could contract.
PEGA_HOST_DEVICE constexpr float dummy_value(uint64_t key, uint64_t index, float scale) {
  const auto bits = static_cast<int32_t>(dummy_bits(key, index));
  const int32_t top = bits / 256 - (bits % 256 < 0 ? 1 : 0);  // the upper 24 bits, signed
  return static_cast<float>(top) * 0x1p-23F * scale;
}

}  // namespace pegainfer

// Philox4x32-10, as src/base/philox.h has it.
#pragma once

#include <cstdint>

namespace pegainfer::cuda {

// 53 random bits for (seed, position): the uniform is bits / 2^53.
__device__ inline uint64_t philox_bits(uint64_t seed, uint64_t position) {
  uint32_t c[4] = {static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32U), 0, 0};
  uint32_t k[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32U)};
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53U} * c[0];
    const uint64_t b = uint64_t{0xCD9E8D57U} * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32U) ^ c[1] ^ k[0], static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32U) ^ c[3] ^ k[1], static_cast<uint32_t>(a)};
    c[0] = next[0], c[1] = next[1], c[2] = next[2], c[3] = next[3];
    k[0] += 0x9E3779B9U;
    k[1] += 0xBB67AE85U;
  }
  return (uint64_t{c[1]} << 32U | c[0]) >> 11U;
}

// floor(bits / 2^53 * total), exactly.
__device__ inline uint64_t share_of(uint64_t bits, uint64_t total) { return __umul64hi(bits << 11U, total); }

}  // namespace pegainfer::cuda

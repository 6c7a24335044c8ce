// Philox4x32-10: a counter-based generator. The draw for (seed, position) needs no state, so a sequence's
// tokens do not depend on its batch-mates, on preemption or on who draws.
#pragma once

#include <array>
#include <cstdint>

namespace pegainfer {

using PhiloxBlock = std::array<uint32_t, 4>;

inline PhiloxBlock philox4x32_10(PhiloxBlock counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53U} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57U} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32U) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32U) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9U;
    key[1] += 0xBB67AE85U;
  }
  return counter;
}

// Uniform in [0, 1) with 53 bits, keyed by the seed, at counter `position`. Draws of one position that must
// not be related have a `stream` each; the token's is 0.
inline double philox_uniform(uint64_t seed, uint64_t position, uint32_t stream = 0) {
  const PhiloxBlock block =
      philox4x32_10({static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32U), stream, 0},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32U)});
  const uint64_t bits = (uint64_t{block[1]} << 32U | block[0]) >> 11U;
  return static_cast<double>(bits) * 0x1p-53;
}

}  // namespace pegainfer

// How sample() divides its scratch memory.
#pragma once

#include <cstdint>

namespace pegainfer::cpu {

inline constexpr int64_t kMaxBlock =
    64;  // logits whose maximum is taken to bound the k-th largest from below

[[gnu::always_inline]] constexpr int64_t padded_vocab(int64_t n) { return (n + 15) / 16 * 16; }
[[gnu::always_inline]] constexpr int64_t max_blocks(int64_t n) {
  return padded_vocab((n + kMaxBlock - 1) / kMaxBlock);
}

}  // namespace pegainfer::cpu

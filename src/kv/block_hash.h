// BlockHasher: the keys under which full blocks of KV are found again. A block's key covers its tokens and
// every token before it (a chain), and the salt its sequence was sent with.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "pegainfer/ids.h"

namespace pegainfer {

struct BlockKey {
  uint64_t low = 0;
  uint64_t high = 0;
  friend auto operator<=>(const BlockKey&, const BlockKey&) = default;
};

struct BlockKeyHash {
  size_t operator()(const BlockKey& key) const noexcept { return static_cast<size_t>(key.low); }
};

// XXH3-128 keyed with random bytes of this process: keys cannot be foreseen from outside.
class BlockHasher {
 public:
  // `key_bits` below 128 makes keys collide, to prove in tests that a collision does no harm.
  explicit BlockHasher(int key_bits = 128);

  // Where the chains of all requests with this salt begin; with a group above 0, of that group alone.
  [[nodiscard]] BlockKey root(std::string_view salt, uint64_t group) const;
  [[nodiscard]] BlockKey next(BlockKey parent, std::span<const TokenId> tokens) const;

 private:
  [[nodiscard]] BlockKey hash(std::span<const std::byte> bytes) const;

  int key_bits_;
  std::array<std::byte, 192> secret_;
};

}  // namespace pegainfer

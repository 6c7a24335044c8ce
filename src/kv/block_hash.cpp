#include "kv/block_hash.h"

#include <xxhash.h>

#include <cstring>
#include <random>
#include <vector>

#include "base/check.h"

namespace pegainfer {

BlockHasher::BlockHasher(int key_bits) : key_bits_(key_bits), secret_{} {
  static_assert(sizeof(secret_) >= XXH3_SECRET_SIZE_MIN);
  CHECK(key_bits > 0 && key_bits <= 128, "{} bits", key_bits);
  std::random_device device;
  for (size_t i = 0; i < secret_.size(); i += sizeof(uint32_t)) {
    const uint32_t word = device();
    std::memcpy(secret_.data() + i, &word, sizeof word);
  }
}

BlockKey BlockHasher::hash(std::span<const std::byte> bytes) const {
  const XXH128_hash_t h = XXH3_128bits_withSecret(bytes.data(), bytes.size(), secret_.data(), secret_.size());
  return {h.low64, h.high64};
}

BlockKey BlockHasher::root(std::string_view salt, uint64_t group) const {
  std::vector<std::byte> bytes(sizeof group + salt.size());
  std::memcpy(bytes.data(), &group, sizeof group);
  std::memcpy(bytes.data() + sizeof group, salt.data(), salt.size());
  return hash(bytes);
}

BlockKey BlockHasher::next(BlockKey parent, std::span<const TokenId> tokens) const {
  // Blocks are small: the parent's key and the tokens stand in one place on the stack.
  constexpr size_t kTokens = 1024;
  CHECK(tokens.size() <= kTokens, "a block of {} tokens", tokens.size());
  std::array<std::byte, sizeof(BlockKey) + kTokens * sizeof(TokenId)> bytes;
  std::memcpy(bytes.data(), &parent, sizeof parent);
  std::memcpy(bytes.data() + sizeof parent, tokens.data(), tokens.size_bytes());
  BlockKey key = hash(std::span(bytes).first(sizeof parent + tokens.size_bytes()));
  if (key_bits_ < 128) key.high = 0;
  if (key_bits_ < 64) key.low &= (uint64_t{1} << static_cast<unsigned>(key_bits_)) - 1;
  return key;
}

}  // namespace pegainfer

#include "kv/prefix_index.h"

#include <algorithm>
#include <bit>
#include <cstddef>

#include "base/check.h"

namespace pegainfer {

PrefixIndex::PrefixIndex(int num_blocks, int block_size)
    : block_size_(static_cast<size_t>(block_size)),
      entries_(static_cast<size_t>(num_blocks)),
      tokens_(static_cast<size_t>(num_blocks) * static_cast<size_t>(block_size)),
      table_(std::bit_ceil(2 * static_cast<size_t>(num_blocks)), 0) {}

const PrefixIndex::Entry& PrefixIndex::entry(BlockId id) const {
  CHECK(id.value > 0 && static_cast<size_t>(id.value) < entries_.size(), "block {} of {}", id.value,
        entries_.size());
  return entries_[static_cast<size_t>(id.value)];
}

std::span<const TokenId> PrefixIndex::tokens_of(int32_t block) const {
  return std::span(tokens_).subspan(static_cast<size_t>(block) * block_size_, block_size_);
}

size_t PrefixIndex::home(BlockKey key) const { return static_cast<size_t>(key.low) & (table_.size() - 1); }

std::optional<size_t> PrefixIndex::slot_of(BlockKey key) const {
  for (size_t slot = home(key); table_[slot] != 0; slot = (slot + 1) & (table_.size() - 1))
    if (entries_[static_cast<size_t>(table_[slot])].key == key) return slot;
  return std::nullopt;
}

std::optional<BlockId> PrefixIndex::find(BlockKey key, ChainLink parent,
                                         std::span<const TokenId> tokens) const {
  const auto slot = slot_of(key);
  if (!slot) return std::nullopt;
  const int32_t block = table_[*slot];
  if (entries_[static_cast<size_t>(block)].parent != parent) return std::nullopt;
  if (!std::ranges::equal(tokens_of(block), tokens)) return std::nullopt;
  return BlockId{block};
}

bool PrefixIndex::publish(BlockId id, BlockKey key, ChainLink parent, std::span<const TokenId> tokens) {
  CHECK(!contains(id) && tokens.size() == block_size_, "block {} is published already, or {} tokens of {}",
        id.value, tokens.size(), block_size_);
  if (slot_of(key)) return false;
  size_t slot = home(key);
  while (table_[slot] != 0) slot = (slot + 1) & (table_.size() - 1);
  table_[slot] = id.value;
  entries_[static_cast<size_t>(id.value)] = {key, parent, next_serial_++};
  std::ranges::copy(
      tokens, tokens_.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(id.value) * block_size_));
  ++size_;
  return true;
}

ChainLink PrefixIndex::link(BlockId id) const {
  CHECK(contains(id), "block {} is not published", id.value);
  return {entry(id).serial << 1U, 0};  // a root's second number is odd: the two never meet
}

void PrefixIndex::remove(BlockId id) {
  if (!contains(id)) return;
  const size_t mask = table_.size() - 1;
  size_t hole = *slot_of(entry(id).key);
  // Moves those that probing would no longer find past the hole.
  for (size_t slot = (hole + 1) & mask; table_[slot] != 0; slot = (slot + 1) & mask) {
    const size_t wanted = home(entries_[static_cast<size_t>(table_[slot])].key);
    if (((slot - wanted) & mask) >= ((slot - hole) & mask)) {
      table_[hole] = table_[slot];
      hole = slot;
    }
  }
  table_[hole] = 0;
  entries_[static_cast<size_t>(id.value)] = {};
  --size_;
}

void PrefixIndex::clear() {
  std::ranges::fill(entries_, Entry{});
  std::ranges::fill(table_, 0);
  size_ = 0;
}

bool PrefixIndex::check_invariants() const {
  int count = 0;
  for (size_t i = 1; i < entries_.size(); ++i) {
    if (entries_[i].serial == 0) continue;
    ++count;
    const auto slot = slot_of(entries_[i].key);
    if (!slot || table_[*slot] != static_cast<int32_t>(i)) return false;
  }
  const auto used = std::ranges::count_if(table_, [](int32_t block) { return block != 0; });
  return count == size_ && used == count;
}

}  // namespace pegainfer

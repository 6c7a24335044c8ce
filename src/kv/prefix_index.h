// PrefixIndex: which blocks hold the KV of which tokens. A hit is never taken on the word of a hash: the
// block's own tokens are compared, and that its parent is the very block the chain came through.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kv/block_hash.h"
#include "pegainfer/ids.h"

namespace pegainfer {

// What a published block hangs from: an earlier publication, or a chain's root. A publication's number is
// never used twice, so that a block which was reused since cannot be mistaken for what it held before.
struct ChainLink {
  uint64_t low = 0;
  uint64_t high = 0;
  friend bool operator==(const ChainLink&, const ChainLink&) = default;
};

class PrefixIndex {
 public:
  PrefixIndex(int num_blocks, int block_size);  // num_blocks with the null block

  static ChainLink root_link(BlockKey root) { return {root.low, root.high | 1U}; }

  // The block that holds `tokens` [block_size] behind `parent`; empty: none is published.
  [[nodiscard]] std::optional<BlockId> find(BlockKey key, ChainLink parent,
                                            std::span<const TokenId> tokens) const;
  // False, and nothing changed: another block is published under this key.
  bool publish(BlockId id, BlockKey key, ChainLink parent, std::span<const TokenId> tokens);
  // What the blocks behind this published one hang from.
  [[nodiscard]] ChainLink link(BlockId id) const;
  [[nodiscard]] bool contains(BlockId id) const { return entry(id).serial != 0; }
  void remove(BlockId id);  // a block that is not published: nothing
  void clear();
  [[nodiscard]] int size() const { return size_; }
  // The table finds every published block and nothing else. Linear.
  [[nodiscard]] bool check_invariants() const;

 private:
  struct Entry {
    BlockKey key;
    ChainLink parent;
    uint64_t serial = 0;  // 0: not published
  };
  [[nodiscard]] const Entry& entry(BlockId id) const;
  [[nodiscard]] std::span<const TokenId> tokens_of(int32_t block) const;
  [[nodiscard]] size_t home(BlockKey key) const;
  [[nodiscard]] std::optional<size_t> slot_of(BlockKey key) const;

  const size_t block_size_;
  std::vector<Entry> entries_;   // [num_blocks]
  std::vector<TokenId> tokens_;  // [num_blocks, block_size]
  std::vector<int32_t> table_;   // block numbers, 0: empty; open addressing, at most half full
  uint64_t next_serial_ = 1;
  int size_ = 0;
};

}  // namespace pegainfer

// KvCacheManager: the logical KV cache. It gives sequences blocks for their positions and takes them back;
// what a block holds is the runner's memory. Blocks are promised (reserve) when a sequence is admitted and
// handed out as it grows (extend), so that an admitted sequence never runs out.
#pragma once

#include <cstdint>
#include <vector>

#include "kv/block_pool.h"
#include "pegainfer/ids.h"

namespace pegainfer {

// The KV of one sequence: position p lives in blocks[p / block_size]. Owned by its request, changed only by
// the manager.
struct BlockTable {
  std::vector<BlockId> blocks;
  int num_reserved = 0;  // promised and not yet handed out
};

class KvCacheManager {
 public:
  KvCacheManager(int num_blocks, int block_size);  // num_blocks with the null block, as in KvCacheView

  // Promises room for positions [0, num_positions) in all. False: not enough that is free and unpromised;
  // nothing changed.
  [[nodiscard]] bool reserve(BlockTable& table, int num_positions);
  // Makes positions [0, num_positions) usable, from what was reserved first. False: no room; nothing changed.
  [[nodiscard]] bool extend(BlockTable& table, int num_positions);
  // Gives everything back, promises too.
  void release(BlockTable& table);

  // Whether a sequence of so many positions could ever be held, alone.
  [[nodiscard]] bool can_ever_hold(int64_t num_positions) const {
    return num_positions <= static_cast<int64_t>(pool_.num_usable()) * block_size_;
  }
  [[nodiscard]] int block_size() const { return block_size_; }
  [[nodiscard]] int num_blocks() const { return pool_.num_usable(); }
  [[nodiscard]] int num_free() const { return pool_.num_free(); }
  // Free blocks that nobody was promised.
  [[nodiscard]] int num_available() const { return pool_.num_free() - num_reserved_; }
  // Of all tables in use: free + held = total, each block held as often as its count says, promises add up.
  [[nodiscard]] bool check_invariants(const std::vector<const BlockTable*>& tables) const;

 private:
  [[nodiscard]] int blocks_for(int num_positions) const {
    return (num_positions + block_size_ - 1) / block_size_;
  }

  const int block_size_;
  BlockPool pool_;
  int num_reserved_ = 0;
};

}  // namespace pegainfer

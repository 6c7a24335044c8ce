// BlockPool: which blocks of the paged KV cache are free, and how many hold each one that is not. Numbers
// only: the memory is the runner's. Free blocks leave in the order they came back (the longest free first),
// so that what a prefix cache remembers of them lives longest; those with nothing to remember leave first.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pegainfer/ids.h"

namespace pegainfer {

class BlockPool {
 public:
  static constexpr BlockId kNullBlock{0};  // padding points at it; never handed out

  explicit BlockPool(int num_blocks);  // with the null block; at least 1

  // All O(1).
  [[nodiscard]] std::optional<BlockId> allocate();  // held once; empty when none is free
  void retain(BlockId id);                          // one holder more; of a free block the first one
  void release(BlockId id, bool keep = true);  // one holder less; free at none, `keep`: as the last to go
  [[nodiscard]] int ref_count(BlockId id) const { return at(id).ref_count; }

  [[nodiscard]] int num_usable() const { return static_cast<int>(blocks_.size()) - 1; }
  [[nodiscard]] int num_free() const { return num_free_; }
  // Walks everything: the free list holds exactly the blocks nobody holds, and links agree.
  [[nodiscard]] bool check_invariants() const;

 private:
  struct Block {
    int ref_count = 0;
    int32_t prev = 0;  // in the free list, a ring through block 0
    int32_t next = 0;
  };
  [[nodiscard]] const Block& at(BlockId id) const;
  [[nodiscard]] Block& at(BlockId id);
  void unlink(BlockId id);
  void link_last(BlockId id);
  void link_first(BlockId id);

  std::vector<Block> blocks_;
  int num_free_ = 0;
};

}  // namespace pegainfer

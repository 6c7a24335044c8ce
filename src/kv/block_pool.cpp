#include "kv/block_pool.h"

#include <cstddef>

#include "base/check.h"

namespace pegainfer {

BlockPool::BlockPool(int num_blocks) {
  CHECK(num_blocks >= 1, "{} blocks", num_blocks);
  blocks_.resize(static_cast<size_t>(num_blocks));
  for (int32_t i = 1; i < num_blocks; ++i) link_last(BlockId{i});
}

const BlockPool::Block& BlockPool::at(BlockId id) const {
  CHECK(id.value > 0 && static_cast<size_t>(id.value) < blocks_.size(), "block {} of {}", id.value,
        blocks_.size());
  return blocks_[static_cast<size_t>(id.value)];
}

BlockPool::Block& BlockPool::at(BlockId id) {
  return const_cast<Block&>(static_cast<const BlockPool*>(this)->at(id));  // NOLINT: the const twin
}

void BlockPool::unlink(BlockId id) {
  const Block& block = at(id);
  blocks_[static_cast<size_t>(block.prev)].next = block.next;
  blocks_[static_cast<size_t>(block.next)].prev = block.prev;
  --num_free_;
}

void BlockPool::link_last(BlockId id) {
  Block& ring = blocks_[0];
  Block& block = at(id);
  block.prev = ring.prev;
  block.next = 0;
  blocks_[static_cast<size_t>(ring.prev)].next = id.value;
  ring.prev = id.value;
  ++num_free_;
}

void BlockPool::link_first(BlockId id) {
  Block& ring = blocks_[0];
  Block& block = at(id);
  block.prev = 0;
  block.next = ring.next;
  blocks_[static_cast<size_t>(ring.next)].prev = id.value;
  ring.next = id.value;
  ++num_free_;
}

std::optional<BlockId> BlockPool::allocate() {
  if (num_free_ == 0) return std::nullopt;
  const BlockId id{blocks_[0].next};
  unlink(id);
  at(id).ref_count = 1;
  return id;
}

void BlockPool::retain(BlockId id) {
  if (at(id).ref_count++ == 0) unlink(id);
}

void BlockPool::release(BlockId id, bool keep) {
  Block& block = at(id);
  CHECK(block.ref_count > 0, "block {} released more often than held", id.value);
  if (--block.ref_count > 0) return;
  keep ? link_last(id) : link_first(id);
}

bool BlockPool::check_invariants() const {
  std::vector<bool> listed(blocks_.size(), false);
  int count = 0;
  int32_t prev = 0;
  for (int32_t i = blocks_[0].next; i != 0; i = blocks_[static_cast<size_t>(i)].next) {
    const auto index = static_cast<size_t>(i);
    if (index >= blocks_.size() || listed[index] || blocks_[index].prev != prev) return false;
    listed[index] = true;
    prev = i;
    ++count;
  }
  if (count != num_free_ || blocks_[0].prev != prev) return false;
  for (size_t i = 1; i < blocks_.size(); ++i)
    if (blocks_[i].ref_count < 0 || (blocks_[i].ref_count == 0) != listed[i]) return false;
  return true;
}

}  // namespace pegainfer

#include "kv/kv_cache_manager.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"

namespace pegainfer {

KvCacheManager::KvCacheManager(int num_blocks, int block_size) : block_size_(block_size), pool_(num_blocks) {
  CHECK(block_size > 0, "block size {}", block_size);
}

bool KvCacheManager::reserve(BlockTable& table, int num_positions) {
  const int have = static_cast<int>(table.blocks.size()) + table.num_reserved;
  const int more = blocks_for(num_positions) - have;
  if (more <= 0) return true;
  if (more > num_available()) return false;
  table.num_reserved += more;
  num_reserved_ += more;
  return true;
}

bool KvCacheManager::extend(BlockTable& table, int num_positions) {
  const int more = blocks_for(num_positions) - static_cast<int>(table.blocks.size());
  if (more <= 0) return true;
  const int from_promise = std::min(more, table.num_reserved);
  if (more - from_promise > num_available()) return false;
  table.num_reserved -= from_promise;
  num_reserved_ -= from_promise;
  for (int i = 0; i < more; ++i) {
    const auto block = pool_.allocate();
    CHECK(block.has_value(), "{} free blocks are less than the {} promised", pool_.num_free(), num_reserved_);
    table.blocks.push_back(*block);
  }
  return true;
}

void KvCacheManager::release(BlockTable& table) {
  // Last positions first: the blocks of a prompt's beginning stay out of use longest.
  for (auto it = table.blocks.rbegin(); it != table.blocks.rend(); ++it) pool_.release(*it);
  table.blocks.clear();
  num_reserved_ -= table.num_reserved;
  table.num_reserved = 0;
}

bool KvCacheManager::check_invariants(const std::vector<const BlockTable*>& tables) const {
  if (!pool_.check_invariants() || num_reserved_ < 0 || num_available() < 0) return false;
  std::vector<int> holders(static_cast<size_t>(pool_.num_usable()) + 1, 0);
  int reserved = 0;
  int held = 0;
  for (const BlockTable* table : tables) {
    reserved += table->num_reserved;
    for (const BlockId id : table->blocks)
      if (++holders.at(static_cast<size_t>(id.value)) == 1) ++held;
  }
  if (reserved != num_reserved_ || held + pool_.num_free() != pool_.num_usable()) return false;
  for (int i = 1; i <= pool_.num_usable(); ++i)
    if (holders[static_cast<size_t>(i)] != pool_.ref_count(BlockId{i})) return false;
  return true;
}

}  // namespace pegainfer

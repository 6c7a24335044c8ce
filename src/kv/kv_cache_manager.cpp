#include "kv/kv_cache_manager.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"

namespace pegainfer {

KvCacheManager::KvCacheManager(const KvCacheOptions& options)
    : options_(options),
      hasher_(options.key_bits),
      pool_(options.num_blocks),
      index_(options.num_blocks, options.block_size) {
  CHECK(options.block_size > 0, "block size {}", options.block_size);
}

void KvCacheManager::begin(BlockTable& table, std::string_view salt, uint64_t group) const {
  table.shares = options_.enable_prefix_caching || group > 0;
  if (table.shares) table.root = hasher_.root(salt, options_.enable_prefix_caching ? 0 : group);
}

std::span<const TokenId> KvCacheManager::block_tokens(std::span<const TokenId> tokens, int block) const {
  const auto size = static_cast<size_t>(options_.block_size);
  return tokens.subspan(static_cast<size_t>(block) * size, size);
}

BlockKey KvCacheManager::key_of(BlockTable& table, std::span<const TokenId> tokens, int block) const {
  for (int i = static_cast<int>(table.keys.size()); i <= block; ++i)
    table.keys.push_back(hasher_.next(i == 0 ? table.root : table.keys.back(), block_tokens(tokens, i)));
  return table.keys[static_cast<size_t>(block)];
}

KvCacheManager::Prefix KvCacheManager::lookup(BlockTable& table, std::span<const TokenId> tokens) const {
  Prefix prefix;
  if (!table.shares || tokens.empty()) return prefix;
  const int most = (static_cast<int>(tokens.size()) - 1) / options_.block_size;
  ChainLink link = PrefixIndex::root_link(table.root);
  while (prefix.num_blocks < most) {
    const BlockKey key = key_of(table, tokens, prefix.num_blocks);
    const auto block = index_.find(key, link, block_tokens(tokens, prefix.num_blocks));
    if (!block) {
      prefix.pending = pending_.contains(key);
      break;
    }
    link = index_.link(*block);
    ++prefix.num_blocks;
  }
  return prefix;
}

BlockId KvCacheManager::take_free() {
  const auto block = pool_.allocate();
  CHECK(block.has_value(), "no free block of {}", pool_.num_usable());
  index_.remove(*block);
  return *block;
}

bool KvCacheManager::admit(BlockTable& table, std::span<const TokenId> tokens, int num_cached) {
  CHECK(table.blocks.empty(), "the sequence holds {} blocks already", table.blocks.size());
  table.link = PrefixIndex::root_link(table.root);
  // Cached blocks that nobody holds are free ones, too: holding them first keeps them from being handed out.
  for (int i = 0; i < num_cached; ++i) {
    const auto block = index_.find(key_of(table, tokens, i), table.link, block_tokens(tokens, i));
    CHECK(block.has_value(), "block {} of {} is no longer cached", i, num_cached);
    pool_.retain(*block);
    table.blocks.push_back(*block);
    table.link = index_.link(*block);
  }
  const int wanted = blocks_for(static_cast<int>(tokens.size())) - num_cached;
  if (wanted > pool_.num_free()) {
    for (auto it = table.blocks.rbegin(); it != table.blocks.rend(); ++it) pool_.release(*it);
    table.blocks.clear();
    return false;
  }
  for (int i = 0; i < wanted; ++i) table.blocks.push_back(take_free());
  table.num_linked = num_cached;
  table.may_publish = table.shares;
  table.generation = generation_;
  set_pending(table, tokens);
  return true;
}

void KvCacheManager::set_pending(BlockTable& table, std::span<const TokenId> tokens) {
  if (!table.may_publish) return;
  table.pending_end = static_cast<int>(tokens.size()) / options_.block_size;
  for (int i = table.num_linked; i < table.pending_end; ++i)
    pending_.try_emplace(key_of(table, tokens, i), &table);
}

void KvCacheManager::erase_pending(const BlockTable& table, int block) {
  const auto it = pending_.find(table.keys[static_cast<size_t>(block)]);
  if (it != pending_.end() && it->second == &table) pending_.erase(it);
}

void KvCacheManager::clear_pending(BlockTable& table) {
  for (int i = table.num_linked; i < table.pending_end; ++i) erase_pending(table, i);
  table.pending_end = 0;
}

bool KvCacheManager::extend(BlockTable& table, int num_positions) {
  const int more = blocks_for(num_positions) - static_cast<int>(table.blocks.size());
  if (more <= 0) return true;
  if (more > pool_.num_free()) return false;
  for (int i = 0; i < more; ++i) table.blocks.push_back(take_free());
  return true;
}

void KvCacheManager::publish(BlockTable& table, std::span<const TokenId> tokens, int num_computed) {
  if (!table.may_publish) return;
  if (table.generation != generation_) {
    clear_pending(table);
    table.may_publish = false;
    return;
  }
  while ((table.num_linked + 1) * options_.block_size <= num_computed) {
    const int i = table.num_linked;
    const BlockKey key = key_of(table, tokens, i);
    const BlockId block = table.blocks[static_cast<size_t>(i)];
    if (index_.publish(block, key, table.link, block_tokens(tokens, i))) {
      table.link = index_.link(block);
    } else if (const auto equal = index_.find(key, table.link, block_tokens(tokens, i))) {
      table.link = index_.link(*equal);  // computed twice: the chain goes on from the published one
    } else {
      clear_pending(table);  // another's key collides: what follows could not be found
      table.may_publish = false;
      return;
    }
    if (i < table.pending_end) erase_pending(table, i);
    ++table.num_linked;
  }
}

void KvCacheManager::forget(BlockTable& table) {
  clear_pending(table);
  table.may_publish = false;
  for (const BlockId block : table.blocks) index_.remove(block);
}

void KvCacheManager::release(BlockTable& table) {
  clear_pending(table);
  // Last positions first: the blocks of a prompt's beginning stay findable longest.
  for (auto it = table.blocks.rbegin(); it != table.blocks.rend(); ++it) {
    const bool keep = options_.enable_prefix_caching && index_.contains(*it);
    pool_.release(*it, keep);
    if (!keep && pool_.ref_count(*it) == 0) index_.remove(*it);
  }
  table.blocks.clear();
  table.num_linked = 0;
  table.may_publish = false;
}

void KvCacheManager::reset() {
  index_.clear();
  ++generation_;
}

bool KvCacheManager::check_invariants(const std::vector<const BlockTable*>& tables) const {
  if (!pool_.check_invariants() || !index_.check_invariants()) return false;
  std::vector<int> holders(static_cast<size_t>(pool_.num_usable()) + 1, 0);
  int held = 0;
  for (const BlockTable* table : tables)
    for (const BlockId id : table->blocks)
      if (++holders.at(static_cast<size_t>(id.value)) == 1) ++held;
  if (held + pool_.num_free() != pool_.num_usable()) return false;
  for (int i = 1; i <= pool_.num_usable(); ++i) {
    const BlockId id{i};
    if (holders[static_cast<size_t>(i)] != pool_.ref_count(id)) return false;
    if (!options_.enable_prefix_caching && pool_.ref_count(id) == 0 && index_.contains(id)) return false;
  }
  return std::ranges::all_of(pending_, [&](const auto& item) {
    const auto& [key, owner] = item;
    const auto it = std::ranges::find(tables, owner);
    return it != tables.end() && !owner->blocks.empty() &&
           std::find(owner->keys.begin() + owner->num_linked, owner->keys.begin() + owner->pending_end,
                     key) != owner->keys.begin() + owner->pending_end;
  });
}

}  // namespace pegainfer

// KvCacheManager: the logical KV cache. It gives sequences blocks for their positions, finds blocks that hold
// the same prefix already, and takes blocks back; what a block holds is the runner's memory.
//
// A full block is published once its KV has been computed. From then on it can be found by any sequence that
// begins with the same tokens, also after nobody holds it any more, until the block is needed for something
// else. Blocks that a sequence is about to publish are pending: others can wait for them.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kv/block_hash.h"
#include "kv/block_pool.h"
#include "kv/prefix_index.h"
#include "pegainfer/ids.h"

namespace pegainfer {

struct KvCacheOptions {
  int num_blocks = 0;  // with the null block, as in KvCacheView
  int block_size = 16;
  bool enable_prefix_caching = true;
  int key_bits = 128;  // below 128 only to make keys collide in tests
};

// The KV of one sequence: position p lives in blocks[p / block_size]. Owned by its request, changed only by
// the manager.
struct BlockTable {
  std::vector<BlockId> blocks;
  // How it is found by others:
  bool shares = false;         // it may use and publish blocks at all
  BlockKey root;               // of its chain
  std::vector<BlockKey> keys;  // of its full blocks, as far as they were needed
  int num_linked = 0;          // leading blocks that stand in the index, its own or equal ones
  ChainLink link;              // of the last of them
  bool may_publish = false;    // false once its chain is broken
  int pending_end = 0;         // blocks [num_linked, pending_end) are pending: others may wait for them
  uint64_t generation = 0;     // of the index when it was admitted
};

class KvCacheManager {
 public:
  explicit KvCacheManager(const KvCacheOptions& options);

  // Decides with whom the sequence may share. With prefix caching off only a group above 0 shares.
  void begin(BlockTable& table, std::string_view salt, uint64_t group) const;

  struct Prefix {
    int num_blocks = 0;    // leading blocks that can be had without computing
    bool pending = false;  // the next one is being computed by another sequence
  };
  // How much of `tokens` (all that are known) is there; at least the last one is always left to compute.
  // Nothing is taken.
  [[nodiscard]] Prefix lookup(BlockTable& table, std::span<const TokenId> tokens) const;
  // Takes the first `num_cached` blocks of a lookup and gives new ones for the rest of the tokens. False: no
  // room; nothing changed. The table must hold nothing.
  [[nodiscard]] bool admit(BlockTable& table, std::span<const TokenId> tokens, int num_cached);
  // Makes positions [0, num_positions) usable. False: no room; nothing changed.
  [[nodiscard]] bool extend(BlockTable& table, int num_positions);
  // The KV of the first `num_computed` tokens is there: full blocks can be found from now on.
  void publish(BlockTable& table, std::span<const TokenId> tokens, int num_computed);
  // What the sequence computed is not to be trusted: none of its blocks is found any more.
  void forget(BlockTable& table);
  // Gives everything back; published blocks stay findable until they are needed.
  void release(BlockTable& table);
  // Nothing that was published so far is found any more.
  void reset();

  // Whether a sequence of so many positions could ever be held, alone.
  [[nodiscard]] bool can_ever_hold(int64_t num_positions) const {
    return num_positions <= static_cast<int64_t>(pool_.num_usable()) * options_.block_size;
  }
  [[nodiscard]] int block_size() const { return options_.block_size; }
  [[nodiscard]] int num_blocks() const { return pool_.num_usable(); }
  [[nodiscard]] int num_free() const { return pool_.num_free(); }
  [[nodiscard]] int num_cached() const { return index_.size(); }
  [[nodiscard]] bool enable_prefix_caching() const { return options_.enable_prefix_caching; }
  // Of all tables in use: free + held = total, each block held as often as its count says, the index agrees,
  // and nothing is pending but what a table in use will publish.
  [[nodiscard]] bool check_invariants(const std::vector<const BlockTable*>& tables) const;

 private:
  [[nodiscard]] int blocks_for(int num_positions) const {
    return (num_positions + options_.block_size - 1) / options_.block_size;
  }
  [[nodiscard]] std::span<const TokenId> block_tokens(std::span<const TokenId> tokens, int block) const;
  [[nodiscard]] BlockKey key_of(BlockTable& table, std::span<const TokenId> tokens, int block) const;
  BlockId take_free();
  void set_pending(BlockTable& table, std::span<const TokenId> tokens);
  void clear_pending(BlockTable& table);
  void erase_pending(const BlockTable& table, int block);

  const KvCacheOptions options_;
  BlockHasher hasher_;
  BlockPool pool_;
  PrefixIndex index_;
  std::unordered_map<BlockKey, const BlockTable*, BlockKeyHash> pending_;  // by whom it is computed
  uint64_t generation_ = 1;
};

}  // namespace pegainfer

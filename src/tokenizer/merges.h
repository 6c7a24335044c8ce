// The merge rules of byte-pair encoding and their application: always the pair of lowest rank first, the
// leftmost among equals, until no pair has a rule. n log n in the number of symbols.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "pegainfer/ids.h"

namespace pegainfer {

class MergeTable {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Rule {
    uint32_t rank = kNoRank;
    TokenId result = -1;
  };

  void reserve(size_t num_rules);
  // A pair that is given twice keeps the later rule.
  void add(TokenId left, TokenId right, uint32_t rank, TokenId result);
  [[nodiscard]] size_t size() const { return count_; }

  [[nodiscard]] Rule find(TokenId left, TokenId right) const {
    const uint64_t key = key_of(left, right);
    const Slot* const slots = slots_.data();
    for (size_t i = place_of(key);; i = (i + 1) & mask_) {
      if (slots[i].key == key) return {slots[i].rank, slots[i].result};
      if (slots[i].key == kEmpty) return {};
    }
  }

  // Working memory of apply(), to be reused. A long text leaves it large: trim() gives that back.
  class Scratch {
   public:
    void trim();

   private:
    friend class MergeTable;
    struct Symbol {
      TokenId id;
      uint32_t rank;  // of the pair with the next symbol
      TokenId result;
      int32_t previous;
      int32_t next;
    };
    std::vector<Symbol> symbols_;
    std::vector<uint64_t> heap_;  // rank << 32 | position, a 4-ary heap with the least on top
  };

  // Merges `symbols` in place. Negative symbols take part in no pair.
  void apply(std::vector<TokenId>& symbols, Scratch& scratch) const;

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Slot {
    uint64_t key = kEmpty;
    uint32_t rank = kNoRank;
    TokenId result = -1;
  };

  static uint64_t key_of(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32U | static_cast<uint32_t>(right);
  }
  [[nodiscard]] size_t place_of(uint64_t key) const {
    return static_cast<size_t>((key * 0x9E3779B97F4A7C15ULL) >> shift_) & mask_;
  }
  void rehash(size_t num_slots);
  void apply_short(std::vector<TokenId>& symbols) const;
  void apply_long(std::vector<TokenId>& symbols, Scratch& scratch) const;

  std::vector<Slot> slots_ = std::vector<Slot>(16);
  size_t mask_ = 15;
  unsigned shift_ = 60;
  size_t count_ = 0;
};

}  // namespace pegainfer

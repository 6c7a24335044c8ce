// Token strings by id and ids by string, compactly: one arena of bytes and one flat hash table.
//
// A byte-level vocabulary is kept as the raw bytes that its tokens stand for, so that text needs no mapping
// on its way in or out. A token with characters outside GPT-2's alphabet (an added one, as a rule) keeps its
// characters, and can only be found by its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/ids.h"

namespace pegainfer {

class Vocab {
 public:
  // Ids above this are refused by the loaders: tables are dense.
  static constexpr int64_t kMaxId = (int64_t{1} << 22) - 1;

  explicit Vocab(bool byte_level) : byte_level_(byte_level) {}

  void reserve(size_t num_tokens, size_t num_bytes);
  // `token` is valid UTF-8. The first id of a string and the last string of an id stand.
  void add(std::string_view token, TokenId id);

  [[nodiscard]] bool byte_level() const { return byte_level_; }
  // One more than the largest id.
  [[nodiscard]] int size() const { return static_cast<int>(entries_.size()); }
  // Strings added, each counted once.
  [[nodiscard]] int num_tokens() const { return static_cast<int>(count_); }
  [[nodiscard]] bool has(TokenId id) const {
    return id >= 0 && id < size() && entries_[static_cast<size_t>(id)].offset != kNone;
  }

  // The text form that encoding looks for: raw bytes in a byte-level vocabulary, else the token itself.
  [[nodiscard]] TokenId find_form(std::string_view form) const { return find(form, false); }
  // By the token as tokenizer.json writes it; -1 when there is none.
  [[nodiscard]] TokenId find_token(std::string_view token) const;

  // Of an id that has(): the form, and whether it is raw bytes.
  [[nodiscard]] std::string_view form(TokenId id) const;
  [[nodiscard]] bool is_raw(TokenId id) const;
  // The token as tokenizer.json writes it.
  [[nodiscard]] std::string token(TokenId id) const;

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Entry {
    uint32_t offset = kNone;
    uint32_t length = 0;  // the top bit: kept as characters in a byte-level vocabulary
  };
  struct Slot {
    uint32_t tag = 0;
    TokenId id = -1;
  };
  static constexpr uint32_t kLiteral = uint32_t{1} << 31;

  [[nodiscard]] TokenId find(std::string_view form, bool literal) const;
  void insert(TokenId id, std::string_view form, bool literal);
  void grow();

  bool byte_level_;
  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // a power of two, at most 2/3 full
  size_t count_ = 0;
};

}  // namespace pegainfer

#include "tokenizer/vocab.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <optional>

#include "base/check.h"
#include "tokenizer/byte_alphabet.h"

namespace pegainfer {
namespace {

uint64_t hash_of(std::string_view form, bool literal) {
  return XXH3_64bits(form.data(), form.size()) + (literal ? 0x9E3779B97F4A7C15ULL : 0);
}

}  // namespace

void Vocab::reserve(size_t num_tokens, size_t num_bytes) {
  arena_.reserve(num_bytes);
  entries_.reserve(num_tokens);
  const size_t want = std::bit_ceil(num_tokens + num_tokens / 2 + 16);
  while (slots_.size() < want) grow();
}

void Vocab::add(std::string_view token, TokenId id) {
  CHECK(id >= 0 && id <= kMaxId, "token id {}", id);
  std::optional<std::string> raw;
  if (byte_level_) raw = alphabet_to_bytes(token);
  const bool literal = byte_level_ && !raw;
  const std::string_view form = raw ? std::string_view(*raw) : token;
  if (id >= size()) entries_.resize(static_cast<size_t>(id) + 1);
  Entry& entry = entries_[static_cast<size_t>(id)];
  entry.offset = static_cast<uint32_t>(arena_.size());
  entry.length = static_cast<uint32_t>(form.size()) | (literal ? kLiteral : 0);
  arena_ += form;
  if ((count_ + 1) * 3 > slots_.size() * 2) grow();
  if (find(form, literal) < 0) insert(id, form, literal);
}

TokenId Vocab::find_token(std::string_view token) const {
  if (!byte_level_) return find(token, false);
  if (const auto raw = alphabet_to_bytes(token)) return find(*raw, false);
  return find(token, true);
}

std::string_view Vocab::form(TokenId id) const {
  const Entry& e = entries_[static_cast<size_t>(id)];
  return std::string_view(arena_).substr(e.offset, e.length & ~kLiteral);
}

bool Vocab::is_raw(TokenId id) const {
  return byte_level_ && (entries_[static_cast<size_t>(id)].length & kLiteral) == 0;
}

std::string Vocab::token(TokenId id) const {
  return is_raw(id) ? bytes_to_alphabet(form(id)) : std::string(form(id));
}

TokenId Vocab::find(std::string_view form, bool literal) const {
  if (slots_.empty()) return -1;
  const uint64_t hash = hash_of(form, literal);
  const auto tag = static_cast<uint32_t>(hash >> 32U);
  const size_t mask = slots_.size() - 1;
  for (size_t i = hash & mask;; i = (i + 1) & mask) {
    const Slot& slot = slots_[i];
    if (slot.id < 0) return -1;
    if (slot.tag != tag) continue;
    const Entry& e = entries_[static_cast<size_t>(slot.id)];
    if (((e.length & kLiteral) != 0) == literal && this->form(slot.id) == form) return slot.id;
  }
}

void Vocab::insert(TokenId id, std::string_view form, bool literal) {
  const uint64_t hash = hash_of(form, literal);
  const size_t mask = slots_.size() - 1;
  size_t i = hash & mask;
  while (slots_[i].id >= 0) i = (i + 1) & mask;
  slots_[i] = {static_cast<uint32_t>(hash >> 32U), id};
  ++count_;
}

void Vocab::grow() {
  std::vector<Slot> old(std::max<size_t>(64, slots_.size() * 2));
  old.swap(slots_);
  count_ = 0;
  for (const Slot& slot : old) {
    if (slot.id < 0) continue;
    insert(slot.id, form(slot.id), (entries_[static_cast<size_t>(slot.id)].length & kLiteral) != 0);
  }
}

}  // namespace pegainfer

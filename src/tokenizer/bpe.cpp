#include "tokenizer/bpe.h"

#define XXH_INLINE_ALL
#include <fmt/core.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/unicode.h"

namespace pegainfer {

Bpe::Scratch::Scratch() : cache_(kNumCached) {}

Bpe::Bpe(Vocab vocab, MergeTable merges, BpeOptions options)
    : vocab_(std::move(vocab)),
      merges_(std::move(merges)),
      options_(options),
      word_state_(new std::atomic<uint8_t>[static_cast<size_t>(std::max(1, vocab_.size()))]()) {
  for (unsigned b = 0; b < 256; ++b) byte_tokens_.at(b) = vocab_.find_token(fmt::format("<0x{:02X}>", b));
  for (TokenId id = 0; id < vocab_.size(); ++id) {
    if (!vocab_.has(id)) continue;
    const std::string_view form = vocab_.form(id);
    longest_ = std::max(longest_, form.size());
    if (vocab_.byte_level() || form.size() < 2 || form.size() != unicode::length_of(form[0])) continue;
    wide_.try_emplace(unicode::decode(form.data()).code, vocab_.find_form(form));
  }
  simple_bytes_ = vocab_.byte_level();
  for (unsigned b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    Start& start = first_.at(b);
    start.id = vocab_.find_form(std::string_view(&byte, 1));
    simple_bytes_ = simple_bytes_ && start.id >= 0;
    if (start.id >= 0) continue;
    // In a byte-level vocabulary the model's characters are those of the alphabet, and these fall back.
    start =
        start_of(vocab_.byte_level() ? bytes_to_alphabet(std::string_view(&byte, 1)) : std::string(1, byte));
  }
}

void Bpe::add_inner_characters(const std::vector<uint32_t>& codes) {
  inner_codes_ = codes;
  for (size_t i = 0; i < codes.size(); ++i) {
    const TokenId symbol = vocab_.size() + static_cast<TokenId>(i);
    if (codes[i] < 0x80) {
      first_[codes[i]] = {.id = symbol};
    } else {
      wide_[codes[i]] = symbol;
    }
  }
}

Bpe::Start Bpe::start_of(std::string_view character) const {
  Start start;
  if (!options_.byte_fallback) return start;
  for (const char c : character) {
    const TokenId id = byte_tokens_[static_cast<unsigned char>(c)];
    if (id < 0) return start;
    start.bytes.at(start.num_bytes++) = id;
  }
  start.fallback = true;
  return start;
}

// The order in which an unknown token and fallback bytes come out is that of `tokenizers`: the unknown one
// waits for the next known character.
void Bpe::make_symbols(std::string_view piece, std::vector<TokenId>& symbols) const {
  symbols.clear();
  if (simple_bytes_) {
    for (const char c : piece) symbols.push_back(first_[static_cast<unsigned char>(c)].id);
    return;
  }
  bool unk_waits = false;
  for (size_t i = 0; i < piece.size();) {
    const size_t length = vocab_.byte_level() ? 1 : unicode::length_of(piece[i]);
    Start wide;
    const Start* start = &first_[static_cast<unsigned char>(piece[i])];
    if (length > 1) {
      const auto it = wide_.find(unicode::decode(piece.data() + i).code);
      if (it != wide_.end()) {
        wide.id = it->second;
      } else {
        wide = start_of(piece.substr(i, length));
      }
      start = &wide;
    }
    i += length;
    if (start->id >= 0) {
      if (std::exchange(unk_waits, false)) symbols.push_back(options_.unk);
      symbols.push_back(start->id);
    } else if (start->fallback) {
      symbols.insert(symbols.end(), start->bytes.begin(), start->bytes.begin() + start->num_bytes);
    } else if (options_.unk >= 0) {
      if (unk_waits && !options_.fuse_unk) symbols.push_back(options_.unk);
      unk_waits = true;
    }
  }
  if (unk_waits) symbols.push_back(options_.unk);
}

// Inner characters that found no partner fall back like any unknown one.
void Bpe::resolve_inner(std::vector<TokenId>& symbols) const {
  if (inner_codes_.empty()) return;
  const TokenId first_inner = vocab_.size();
  if (std::none_of(symbols.begin(), symbols.end(), [&](TokenId id) { return id >= first_inner; })) return;
  std::vector<TokenId> done;
  std::string character;
  for (const TokenId id : symbols) {
    if (id < first_inner) {
      done.push_back(id);
      continue;
    }
    character.clear();
    unicode::append(character, inner_codes_[static_cast<size_t>(id - first_inner)]);
    const Start start = start_of(character);
    if (start.fallback) {
      done.insert(done.end(), start.bytes.begin(), start.bytes.begin() + start.num_bytes);
    } else if (options_.unk >= 0 && !(options_.fuse_unk && !done.empty() && done.back() == options_.unk)) {
      done.push_back(options_.unk);
    }
  }
  symbols.swap(done);
}

void Bpe::encode_uncached(std::string_view piece, Scratch& scratch) const {
  make_symbols(piece, scratch.symbols_);
  merges_.apply(scratch.symbols_, scratch.merges_);
  resolve_inner(scratch.symbols_);
}

void Bpe::encode_by_merges(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const {
  encode_uncached(piece, scratch);
  out.insert(out.end(), scratch.symbols_.begin(), scratch.symbols_.end());
}

void Bpe::spell(TokenId id, Scratch& scratch, std::vector<TokenId>& out) const {
  make_symbols(vocab_.form(id), scratch.symbols_);
  resolve_inner(scratch.symbols_);
  out.insert(out.end(), scratch.symbols_.begin(), scratch.symbols_.end());
}

void Bpe::encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const {
  const bool cached = piece.size() <= Scratch::kCachedBytes;
  Scratch::Cached* slot = nullptr;
  uint64_t hash = 0;
  if (cached) {
    hash = XXH3_64bits(piece.data(), piece.size());
    slot = scratch.cache_.data() + (hash & (Scratch::kNumCached - 1));
    if (slot->hash == hash && slot->num_bytes == piece.size() &&
        std::memcmp(slot->bytes.data(), piece.data(), piece.size()) == 0) {
      out.insert(out.end(), slot->ids.begin(), slot->ids.begin() + slot->num_ids);
      return;
    }
  }
  auto& symbols = scratch.symbols_;
  const TokenId whole = piece.size() <= longest_ ? vocab_.find_form(piece) : -1;
  const auto state =
      whole < 0
          ? kSplit
          : static_cast<WordState>(word_state_[static_cast<size_t>(whole)].load(std::memory_order_relaxed));
  if (whole >= 0 && (options_.ignore_merges || state == kWhole)) {
    symbols.assign(1, whole);
  } else {
    encode_uncached(piece, scratch);
    if (state == kUnseen) {
      const bool same = symbols.size() == 1 && symbols[0] == whole;
      word_state_[static_cast<size_t>(whole)].store(same ? kWhole : kSplit, std::memory_order_relaxed);
    }
  }
  out.insert(out.end(), symbols.begin(), symbols.end());
  if (cached && symbols.size() <= Scratch::kCachedIds) {
    slot->hash = hash;
    slot->num_bytes = static_cast<uint8_t>(piece.size());
    slot->num_ids = static_cast<uint8_t>(symbols.size());
    std::copy(symbols.begin(), symbols.end(), slot->ids.begin());
    std::memcpy(slot->bytes.data(), piece.data(), piece.size());
  }
  if (symbols.capacity() > 64 * 1024) {
    std::vector<TokenId>().swap(symbols);
    scratch.merges_.trim();
  }
}

}  // namespace pegainfer

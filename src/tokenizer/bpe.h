// Byte-pair encoding of one piece of text (what the pre-tokenizer cuts) to ids, as Hugging Face's BPE model
// does it, and SentencePiece's, which is the same procedure with scores for ranks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pegainfer/ids.h"
#include "tokenizer/merges.h"
#include "tokenizer/vocab.h"

namespace pegainfer {

struct BpeOptions {
  bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
  bool byte_fallback = false;  // unknown characters become <0x..> tokens, when there are such
  bool fuse_unk = false;       // a run of unknown characters is one unknown token
  TokenId unk = -1;            // -1: unknown characters give nothing
};

class Bpe {
 public:
  Bpe(Vocab vocab, MergeTable merges, BpeOptions options);

  // SentencePiece: characters that only occur inside tokens need a symbol of their own to merge from; they
  // are numbered from vocab().size() on, in this order. Call before the first encode().
  void add_inner_characters(const std::vector<uint32_t>& codes);

  // Working memory and the cache of recent pieces: one per encoding thread, to be reused.
  class Scratch {
   public:
    Scratch();

   private:
    friend class Bpe;
    static constexpr size_t kCachedBytes = 28;
    static constexpr size_t kCachedIds = 6;
    struct alignas(64) Cached {
      uint64_t hash = 0;
      uint8_t num_bytes = 0;
      uint8_t num_ids = 0;
      std::array<TokenId, kCachedIds> ids{};
      std::array<char, kCachedBytes> bytes{};
    };
    static constexpr size_t kNumCached = 8192;  // 512 KiB: an L2 cache holds it
    std::vector<Cached> cache_;
    std::vector<TokenId> symbols_;
    MergeTable::Scratch merges_;
  };

  // Appends the ids of `piece`: valid UTF-8, not empty; in a byte-level vocabulary its plain bytes.
  void encode(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;

  // The same by merges alone: no token because the whole piece is one.
  void encode_by_merges(std::string_view piece, Scratch& scratch, std::vector<TokenId>& out) const;
  // What the text of the token `id` is without any merge.
  void spell(TokenId id, Scratch& scratch, std::vector<TokenId>& out) const;

  [[nodiscard]] TokenId unknown() const { return options_.unk; }
  [[nodiscard]] const Vocab& vocab() const { return vocab_; }

 private:
  enum WordState : uint8_t { kUnseen, kWhole, kSplit };
  // What one character (or byte) starts as.
  struct Start {
    TokenId id = -1;  // its token
    bool fallback = false;
    std::array<TokenId, 8> bytes{};  // of the fallback
    uint8_t num_bytes = 0;
  };

  [[nodiscard]] Start start_of(std::string_view character) const;
  void make_symbols(std::string_view piece, std::vector<TokenId>& symbols) const;
  void resolve_inner(std::vector<TokenId>& symbols) const;
  void encode_uncached(std::string_view piece, Scratch& scratch) const;

  Vocab vocab_;
  MergeTable merges_;
  BpeOptions options_;
  size_t longest_ = 0;                          // bytes of the longest token
  std::array<Start, 256> first_;                // by byte in a byte-level vocabulary, else by ASCII character
  bool simple_bytes_ = false;                   // every byte has a token
  std::array<TokenId, 256> byte_tokens_{};      // <0x00>... or -1
  std::unordered_map<uint32_t, TokenId> wide_;  // tokens and symbols of one character that is not ASCII
  std::vector<uint32_t> inner_codes_;
  // By token: whether its own text encodes to it alone. Found out on first use; racing threads find the same.
  std::unique_ptr<std::atomic<uint8_t>[]> word_state_;
};

}  // namespace pegainfer

// The tokenizer as a pipeline of parts: added tokens, normalizers, pre-tokenizers, byte-pair encoding,
// templates; and decoders for the way back. What the loaders build.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "pegainfer/tokenizer.h"
#include "tokenizer/added_tokens.h"
#include "tokenizer/bpe.h"
#include "tokenizer/decoder.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace pegainfer {

// Where the ids of the text stand in a template.
inline constexpr TokenId kTemplateText = -1;

struct TokenizerParts {
  std::unique_ptr<Bpe> model;
  std::vector<AddedToken> added;  // ids and contents are distinct
  Normalizers normalizers;
  PreTokenizers pre_tokenizers;
  DecoderSteps decoder;
  // What is added around the text, applied one after another; kTemplateText is the text so far.
  std::vector<std::vector<TokenId>> templates;
};

class PipelineTokenizer final : public Tokenizer {
 public:
  explicit PipelineTokenizer(TokenizerParts parts);
  PipelineTokenizer(const PipelineTokenizer&) = delete;
  PipelineTokenizer& operator=(const PipelineTokenizer&) = delete;
  ~PipelineTokenizer() override;

  using Tokenizer::encode;
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override;
  [[nodiscard]] std::unique_ptr<Stream> stream(bool skip_special_tokens) const override;
  [[nodiscard]] std::string token_text(TokenId id) const override;
  [[nodiscard]] std::string token_bytes(TokenId id) const override;
  [[nodiscard]] int vocab_size() const override { return static_cast<int>(flags_.size()); }
  [[nodiscard]] bool is_special(TokenId id) const override { return (flags_of(id) & kSpecial) != 0; }
  [[nodiscard]] TokenId token_to_id(std::string_view token) const override;
  [[nodiscard]] std::map<TokenId, std::string> plain_added_tokens() const override;

 private:
  class Sink;
  class StreamImpl;
  struct Scratch;
  enum Flag : uint8_t { kAdded = 1, kSpecial = 2, kSkipped = 4 };

  [[nodiscard]] uint8_t flags_of(TokenId id) const {
    return id >= 0 && id < vocab_size() ? flags_[static_cast<size_t>(id)] : uint8_t{0};
  }
  // A part of the text without raw added tokens. `guard` has what of it is untrusted; null when nothing is.
  void encode_section(std::string_view section, bool at_start, const ControlGuard* guard, Scratch& scratch,
                      std::vector<TokenId>& out) const;
  [[nodiscard]] bool is_control(TokenId id, const ControlGuard& guard) const {
    const uint8_t flags = flags_of(id);
    return (flags & kSpecial) != 0 || ((flags & kAdded) != 0 && guard.is_control(id));
  }
  void feed(DecodeChain& chain, TokenId id, bool skip_special_tokens) const;
  [[nodiscard]] std::unique_ptr<Scratch> take_scratch() const;
  void give_scratch(std::unique_ptr<Scratch> scratch) const;

  TokenizerParts parts_;
  AddedTokenMatcher raw_;                                // in the text as it is
  AddedTokenMatcher normalized_;                         // in the normalized text
  std::vector<uint8_t> flags_;                           // by id
  std::unordered_map<TokenId, std::string> added_text_;  // as decode() sees them
  std::unordered_map<std::string, TokenId> added_ids_;

  mutable std::mutex pool_mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> pool_;
};

}  // namespace pegainfer

// FakeTokenizer: one token per byte, ids 0..255, then four special tokens, then whatever strings a test wants
// as tokens of their own (those are only decoded, encode() never makes them).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pegainfer/tokenizer.h"

namespace pegainfer::testing {

struct FakeTokenizerOptions {
  bool add_bos = false;                        // encode() puts kBos first when add_special_tokens
  std::vector<std::string> extra_tokens = {};  // ids from kFirstExtra
};

class FakeTokenizer final : public Tokenizer {
 public:
  static constexpr TokenId kBos = 256;      // "<|bos|>"
  static constexpr TokenId kEos = 257;      // "<|eos|>"
  static constexpr TokenId kImStart = 258;  // "<|im_start|>"
  static constexpr TokenId kImEnd = 259;    // "<|im_end|>"
  static constexpr TokenId kFirstExtra = 260;

  explicit FakeTokenizer(FakeTokenizerOptions options = {}) : options_(std::move(options)) {}

  using Tokenizer::encode;
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override;
  [[nodiscard]] std::unique_ptr<Stream> stream(bool skip_special_tokens) const override;
  [[nodiscard]] std::string token_text(TokenId id) const override;
  [[nodiscard]] std::string token_bytes(TokenId id) const override;
  [[nodiscard]] int vocab_size() const override {
    return kFirstExtra + static_cast<int>(options_.extra_tokens.size());
  }
  [[nodiscard]] bool is_special(TokenId id) const override { return id >= kBos && id < kFirstExtra; }
  [[nodiscard]] TokenId token_to_id(std::string_view token) const override;

 private:
  FakeTokenizerOptions options_;
};

}  // namespace pegainfer::testing

// ByteTokenizer: a token per byte, for servers without a model and models without a tokenizer. Ids 0 to 255
// are bytes; special ones follow, which no text becomes, trusted or not.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/tokenizer.h"

namespace pegainfer {

class ByteTokenizer final : public Tokenizer {
 public:
  static constexpr TokenId kEos = 256;
  static constexpr int kVocabSize = 257;

  using Tokenizer::encode;
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override;
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const override;
  [[nodiscard]] std::unique_ptr<Stream> stream(bool skip_special_tokens) const override;
  [[nodiscard]] std::string token_text(TokenId id) const override;
  [[nodiscard]] std::string token_bytes(TokenId id) const override;
  [[nodiscard]] int vocab_size() const override { return kVocabSize; }
  [[nodiscard]] bool is_special(TokenId id) const override { return id == kEos; }
  [[nodiscard]] TokenId token_to_id(std::string_view token) const override;
};

}  // namespace pegainfer

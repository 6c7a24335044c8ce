// Text <-> token ids, exactly as Hugging Face `tokenizers` does it for the same tokenizer.json.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/ids.h"

namespace pegainfer {

// Bytes [begin, end) of a text.
struct TextSpan {
  size_t begin = 0;
  size_t end = 0;
  friend bool operator==(const TextSpan&, const TextSpan&) = default;
};

struct EncodeOptions {
  bool add_special_tokens = true;  // what the post-processor adds (BOS, EOS)
  // What of the text came from outside, ascending and apart from each other: a special token whose bytes
  // touch one of them is not recognised and becomes ordinary text, as with Hugging Face's
  // `split_special_tokens`. Elsewhere tokens written in the text are always recognised, and the ids of
  // ordinary text are those of the text without spans.
  std::span<const TextSpan> untrusted;
  // Added tokens, besides the special ones, that are not recognised there either; ascending.
  std::span<const TokenId> control_tokens;
};

// Immutable after loading; every method may be called from any thread.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // UTF-8 text to ids. Invalid UTF-8 is treated as U+FFFD per broken sequence; callers that must refuse it
  // check before.
  [[nodiscard]] virtual std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const = 0;
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text) const {
    return encode(text, EncodeOptions{});
  }

  // The whole text of `ids`. Ids outside the vocabulary give nothing.
  [[nodiscard]] virtual std::string decode(std::span<const TokenId> ids, bool skip_special_tokens) const = 0;

  // State of incremental decoding of one sequence. append() returns the bytes that are now certain: always
  // whole UTF-8 characters; finish() the rest (broken sequences become U+FFFD). The pieces concatenate to
  // decode() of all ids.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual std::string append(TokenId id) = 0;
    virtual std::string finish() = 0;
  };
  [[nodiscard]] virtual std::unique_ptr<Stream> stream(bool skip_special_tokens) const = 0;

  // The token alone as text for logprobs ("token" fields): its bytes, broken UTF-8 as U+FFFD.
  [[nodiscard]] virtual std::string token_text(TokenId id) const = 0;
  // The raw bytes the token stands for.
  [[nodiscard]] virtual std::string token_bytes(TokenId id) const = 0;

  [[nodiscard]] virtual int vocab_size() const = 0;  // one more than the largest id, added tokens included
  [[nodiscard]] virtual bool is_special(TokenId id) const = 0;
  [[nodiscard]] virtual TokenId token_to_id(std::string_view token) const = 0;  // -1 when there is none
  // The tokens, besides the special ones, that are recognised wherever a text writes them.
  [[nodiscard]] virtual std::map<TokenId, std::string> plain_added_tokens() const { return {}; }
};

// For EncodeOptions::control_tokens: the tokens that a chat template's source names although the vocabulary
// does not call them special, such as "<think>". Only marks count, not words, blanks or punctuation.
[[nodiscard]] std::vector<TokenId> tokens_named_in(const Tokenizer& tokenizer, std::string_view text);

}  // namespace pegainfer

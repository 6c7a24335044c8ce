#include "tokenizer/byte_tokenizer.h"

#include <array>

#include "base/utf8.h"

namespace pegainfer {
namespace {

constexpr std::string_view kEosText = "<|eos|>";

class ByteStream final : public Tokenizer::Stream {
 public:
  ByteStream(const ByteTokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  std::string append(TokenId id) override {
    if (skip_special_ && tokenizer_.is_special(id)) return {};
    held_ += tokenizer_.token_bytes(id);
    return take(false);
  }
  std::string finish() override { return take(true); }

 private:
  // Whole characters leave; one that more bytes could complete stays unless it is the end.
  std::string take(bool all) {
    std::string out;
    std::string_view rest = held_;
    while (!rest.empty()) {
      const utf8::Sequence sequence = utf8::next(rest);
      if (sequence.incomplete && !all) break;
      out += sequence.valid ? rest.substr(0, sequence.length) : utf8::kReplacement;
      rest.remove_prefix(sequence.length);
    }
    held_.erase(0, held_.size() - rest.size());
    return out;
  }

  const ByteTokenizer& tokenizer_;
  bool skip_special_;
  std::string held_;
};

}  // namespace

std::vector<TokenId> ByteTokenizer::encode(std::string_view text, EncodeOptions /*options*/) const {
  std::vector<TokenId> ids;
  ids.reserve(text.size());
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

std::string ByteTokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  ByteStream stream(*this, skip_special_tokens);
  std::string out;
  for (const TokenId id : ids) out += stream.append(id);
  return out + stream.finish();
}

std::unique_ptr<Tokenizer::Stream> ByteTokenizer::stream(bool skip_special_tokens) const {
  return std::make_unique<ByteStream>(*this, skip_special_tokens);
}

std::string ByteTokenizer::token_text(TokenId id) const {
  const std::array<TokenId, 1> ids{id};
  return decode(ids, false);
}

std::string ByteTokenizer::token_bytes(TokenId id) const {
  if (id >= 0 && id < kEos) return std::string(1, static_cast<char>(id));
  return id == kEos ? std::string(kEosText) : std::string();
}

TokenId ByteTokenizer::token_to_id(std::string_view token) const {
  if (token == kEosText) return kEos;
  return token.size() == 1 ? static_cast<unsigned char>(token.front()) : -1;
}

}  // namespace pegainfer

#include "support/fake_tokenizer.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace pegainfer::testing {
namespace {

constexpr std::array<std::string_view, 4> kSpecials{"<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>"};

// Whole characters leave, an unfinished one stays. Broken sequences become U+FFFD, one per maximal subpart as
// Unicode recommends (and Python and Hugging Face do).
class Utf8Assembler {
 public:
  void append(unsigned char byte, std::string& out) {
    if (held_.empty() || byte < low_ || byte > high_) {
      if (!held_.empty()) finish(out);
      start(byte, out);
      return;
    }
    held_.push_back(static_cast<char>(byte));
    low_ = 0x80;
    high_ = 0xBF;
    if (--missing_ == 0) {
      out += held_;
      held_.clear();
    }
  }
  void finish(std::string& out) {
    if (held_.empty()) return;
    out += "\xEF\xBF\xBD";
    held_.clear();
  }

 private:
  void start(unsigned char byte, std::string& out) {
    low_ = 0x80;
    high_ = 0xBF;
    if (byte < 0x80) {
      out.push_back(static_cast<char>(byte));
      return;
    }
    if (byte >= 0xC2 && byte <= 0xDF) {
      missing_ = 1;
    } else if (byte >= 0xE0 && byte <= 0xEF) {
      missing_ = 2;
      if (byte == 0xE0) low_ = 0xA0;
      if (byte == 0xED) high_ = 0x9F;
    } else if (byte >= 0xF0 && byte <= 0xF4) {
      missing_ = 3;
      if (byte == 0xF0) low_ = 0x90;
      if (byte == 0xF4) high_ = 0x8F;
    } else {
      out += "\xEF\xBF\xBD";
      return;
    }
    held_.push_back(static_cast<char>(byte));
  }

  std::string held_;
  int missing_ = 0;
  unsigned char low_ = 0x80;
  unsigned char high_ = 0xBF;
};

class FakeStream final : public Tokenizer::Stream {
 public:
  FakeStream(const FakeTokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  std::string append(TokenId id) override {
    std::string out;
    if (skip_special_ && tokenizer_.is_special(id)) return out;
    for (const char c : tokenizer_.token_bytes(id)) utf8_.append(static_cast<unsigned char>(c), out);
    return out;
  }
  std::string finish() override {
    std::string out;
    utf8_.finish(out);
    return out;
  }

 private:
  const FakeTokenizer& tokenizer_;
  bool skip_special_;
  Utf8Assembler utf8_;
};

}  // namespace

std::vector<TokenId> FakeTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  if (options.add_special_tokens && options_.add_bos) ids.push_back(kBos);
  const size_t whole = text.size();
  const auto untrusted = [&](size_t begin, size_t end) {
    return std::any_of(options.untrusted.begin(), options.untrusted.end(),
                       [&](const TextSpan& span) { return span.begin < end && begin < span.end; });
  };
  while (!text.empty()) {
    bool special = false;
    for (size_t i = 0; i < kSpecials.size() && !special; ++i) {
      const size_t begin = whole - text.size();
      if (!text.starts_with(kSpecials.at(i)) || untrusted(begin, begin + kSpecials.at(i).size())) continue;
      ids.push_back(kBos + static_cast<TokenId>(i));
      text.remove_prefix(kSpecials.at(i).size());
      special = true;
    }
    if (special) continue;
    ids.push_back(static_cast<unsigned char>(text.front()));
    text.remove_prefix(1);
  }
  return ids;
}

std::string FakeTokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  FakeStream stream(*this, skip_special_tokens);
  std::string out;
  for (const TokenId id : ids) out += stream.append(id);
  return out + stream.finish();
}

std::unique_ptr<Tokenizer::Stream> FakeTokenizer::stream(bool skip_special_tokens) const {
  return std::make_unique<FakeStream>(*this, skip_special_tokens);
}

std::string FakeTokenizer::token_text(TokenId id) const {
  const std::array<TokenId, 1> ids{id};
  return decode(ids, false);
}

std::string FakeTokenizer::token_bytes(TokenId id) const {
  if (id < 0 || id >= vocab_size()) return {};
  if (id < kBos) return std::string(1, static_cast<char>(id));
  if (id < kFirstExtra) return std::string(kSpecials.at(static_cast<size_t>(id - kBos)));
  return options_.extra_tokens.at(static_cast<size_t>(id - kFirstExtra));
}

TokenId FakeTokenizer::token_to_id(std::string_view token) const {
  for (TokenId id = 0; id < vocab_size(); ++id)
    if (token_bytes(id) == token) return id;
  return -1;
}

}  // namespace pegainfer::testing

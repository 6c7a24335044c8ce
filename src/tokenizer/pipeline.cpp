#include "tokenizer/pipeline.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

// More threads than this may encode at once; their working memory is then not kept.
constexpr size_t kPooled = 16;
constexpr size_t kKeepBytes = 1 << 20;

void apply_template(const std::vector<TokenId>& pattern, bool add_special, std::vector<TokenId>& ids) {
  std::vector<TokenId> out;
  out.reserve(ids.size() + pattern.size());
  for (const TokenId id : pattern) {
    if (id == kTemplateText) {
      out.insert(out.end(), ids.begin(), ids.end());
    } else if (add_special) {
      out.push_back(id);
    }
  }
  ids = std::move(out);
}

void check_ascending(std::span<const TextSpan> spans, size_t size) {
  size_t done = 0;
  for (const TextSpan& span : spans) {
    CHECK(done <= span.begin && span.begin <= span.end && span.end <= size,
          "untrusted bytes [{}, {}) after {} of {}", span.begin, span.end, done, size);
    done = span.end;
  }
}

// Broken UTF-8 becomes U+FFFD, and `spans` follow.
std::string repair(std::string_view text, std::vector<TextSpan>& spans) {
  std::string out;
  Edits edits;
  for (size_t i = 0; i < text.size();) {
    const utf8::Sequence sequence = utf8::next(text.substr(i));
    const size_t before = out.size();
    out += sequence.valid ? text.substr(i, sequence.length) : utf8::kReplacement;
    if (!sequence.valid) edits.add(i, i + sequence.length, before, out.size());
    i += sequence.length;
  }
  edits.map(spans);
  return out;
}

}  // namespace

struct PipelineTokenizer::Scratch {
  Bpe::Scratch bpe;
  std::string buffers[2];
};

class PipelineTokenizer::Sink final : public PieceSink {
 public:
  Sink(const PipelineTokenizer& owner, const ControlGuard* guard, Bpe::Scratch& scratch,
       std::vector<TokenId>& out)
      : owner_(owner), model_(*owner.parts_.model), guard_(guard), scratch_(scratch), out_(out) {}

  void piece(std::string_view text) override {
    const size_t begin = out_.size();
    model_.encode(text, scratch_, out_);
    if (guard_ == nullptr || !has_control(begin, true)) return;
    // The vocabulary makes control tokens of ordinary text, because a piece is one or because merges lead
    // there. No text from outside may have that.
    out_.resize(begin);
    model_.encode_by_merges(text, scratch_, out_);
    if (!has_control(begin, false)) return;
    const std::vector<TokenId> ids(out_.begin() + static_cast<std::ptrdiff_t>(begin), out_.end());
    out_.resize(begin);
    for (const TokenId id : ids) {
      if (is_control(id, false)) {
        model_.spell(id, scratch_, out_);
      } else {
        out_.push_back(id);
      }
    }
  }

 private:
  // The unknown token is special, and what unknown characters become.
  [[nodiscard]] bool is_control(TokenId id, bool unknown_too) const {
    return owner_.is_control(id, *guard_) && (unknown_too || id != model_.unknown());
  }
  [[nodiscard]] bool has_control(size_t begin, bool unknown_too) const {
    return std::any_of(out_.begin() + static_cast<std::ptrdiff_t>(begin), out_.end(),
                       [&](TokenId id) { return is_control(id, unknown_too); });
  }

  const PipelineTokenizer& owner_;
  const Bpe& model_;
  const ControlGuard* guard_;
  Bpe::Scratch& scratch_;
  std::vector<TokenId>& out_;
};

PipelineTokenizer::PipelineTokenizer(TokenizerParts parts) : parts_(std::move(parts)) {
  int size = parts_.model->vocab().size();
  for (const AddedToken& token : parts_.added) size = std::max(size, token.id + 1);
  flags_.assign(static_cast<size_t>(size), 0);
  std::set<std::string_view> specials;
  for (const AddedToken& token : parts_.added) {
    if (token.special) specials.insert(token.content);
  }
  std::string buffers[2];
  for (const AddedToken& token : parts_.added) {
    size_t origin = 0;
    std::string text = token.content;
    if (token.normalized) text = std::string(normalize(parts_.normalizers, token.content, buffers, &origin));
    (token.normalized ? normalized_ : raw_).add(text, token);
    uint8_t& flags = flags_[static_cast<size_t>(token.id)];
    flags = kAdded;
    if (token.special) flags |= kSpecial;
    // As in `tokenizers`: what is skipped is told by the text that decoding sees.
    if (specials.contains(text)) flags |= kSkipped;
    added_text_[token.id] = std::move(text);
    added_ids_[token.content] = token.id;
  }
  raw_.finish();
  normalized_.finish();
}

PipelineTokenizer::~PipelineTokenizer() = default;

std::unique_ptr<PipelineTokenizer::Scratch> PipelineTokenizer::take_scratch() const {
  {
    const std::lock_guard lock(pool_mutex_);
    if (!pool_.empty()) {
      auto scratch = std::move(pool_.back());
      pool_.pop_back();
      return scratch;
    }
  }
  return std::make_unique<Scratch>();
}

void PipelineTokenizer::give_scratch(std::unique_ptr<Scratch> scratch) const {
  for (std::string& buffer : scratch->buffers) {
    if (buffer.capacity() > kKeepBytes) std::string().swap(buffer);
  }
  const std::lock_guard lock(pool_mutex_);
  if (pool_.size() < kPooled) pool_.push_back(std::move(scratch));
}

void PipelineTokenizer::encode_section(std::string_view section, bool at_start, const ControlGuard* guard,
                                       Scratch& scratch, std::vector<TokenId>& out) const {
  size_t origin = at_start ? unicode::length_of(section[0]) : 0;
  ControlGuard normalized_guard;
  std::vector<TextSpan> spans;
  std::vector<TextSpan>* mapped = nullptr;
  if (guard != nullptr && !normalized_.empty()) {
    spans.assign(guard->untrusted.begin(), guard->untrusted.end());
    mapped = &spans;
  }
  const std::string_view text = normalize(parts_.normalizers, section, scratch.buffers, &origin, mapped);
  if (mapped != nullptr) {
    normalized_guard = {.untrusted = spans, .control = guard->control};
    guard = &normalized_guard;
  }
  Sink sink(*this, guard, scratch.bpe, out);
  const Next pre_tokenize(parts_.pre_tokenizers, sink);
  const Piece whole{text, origin};
  normalized_.split(text, guard, [&](size_t begin, size_t end, TokenId id) {
    if (id >= 0) {
      out.push_back(id);
    } else {
      pre_tokenize(whole.part(begin, end));
    }
  });
}

std::vector<TokenId> PipelineTokenizer::encode(std::string_view text, EncodeOptions options) const {
  CHECK(text.size() < static_cast<size_t>(INT32_MAX), "a text of {} bytes", text.size());
  check_ascending(options.untrusted, text.size());
  std::vector<TextSpan> spans;
  std::string repaired;
  if (!utf8::valid(text)) {
    spans.assign(options.untrusted.begin(), options.untrusted.end());
    repaired = repair(text, spans);
    text = repaired;
    options.untrusted = spans;
  }
  const ControlGuard guard{.untrusted = options.untrusted, .control = options.control_tokens};
  const bool all_trusted = options.untrusted.empty();
  std::vector<TokenId> out;
  out.reserve(text.size() / 4 + 8);
  auto scratch = take_scratch();
  raw_.split(text, all_trusted ? nullptr : &guard, [&](size_t begin, size_t end, TokenId id) {
    if (id >= 0) {
      out.push_back(id);
      return;
    }
    const std::string_view section = text.substr(begin, end - begin);
    if (all_trusted || !touches(guard.untrusted, begin, end)) {
      encode_section(section, begin == 0, nullptr, *scratch, out);
      return;
    }
    const std::vector<TextSpan> part = clip(guard.untrusted, begin, end);
    const ControlGuard section_guard{.untrusted = part, .control = guard.control};
    encode_section(section, begin == 0, &section_guard, *scratch, out);
  });
  give_scratch(std::move(scratch));
  for (const auto& pattern : parts_.templates) apply_template(pattern, options.add_special_tokens, out);
  return out;
}

void PipelineTokenizer::feed(DecodeChain& chain, TokenId id, bool skip_special_tokens) const {
  const uint8_t flags = flags_of(id);
  if (skip_special_tokens && (flags & kSkipped) != 0) return;
  if ((flags & kAdded) != 0) {
    chain.token(added_text_.at(id));
    return;
  }
  const Vocab& vocab = parts_.model->vocab();
  if (!vocab.has(id)) return;
  if (chain.takes_bytes() && vocab.byte_level()) {
    chain.bytes(vocab.form(id));
  } else if (vocab.is_raw(id)) {
    chain.token(vocab.token(id));
  } else {
    chain.token(vocab.form(id));
  }
}

std::string PipelineTokenizer::decode(std::span<const TokenId> ids, bool skip_special_tokens) const {
  DecodeChain chain(parts_.decoder);
  for (const TokenId id : ids) feed(chain, id, skip_special_tokens);
  chain.finish();
  return chain.take();
}

class PipelineTokenizer::StreamImpl final : public Tokenizer::Stream {
 public:
  StreamImpl(const PipelineTokenizer& owner, bool skip)
      : owner_(owner), skip_(skip), chain_(owner.parts_.decoder) {}
  std::string append(TokenId id) override {
    owner_.feed(chain_, id, skip_);
    return chain_.take();
  }
  std::string finish() override {
    if (!std::exchange(finished_, true)) chain_.finish();
    return chain_.take();
  }

 private:
  const PipelineTokenizer& owner_;
  bool skip_;
  bool finished_ = false;
  DecodeChain chain_;
};

std::unique_ptr<Tokenizer::Stream> PipelineTokenizer::stream(bool skip_special_tokens) const {
  return std::make_unique<StreamImpl>(*this, skip_special_tokens);
}

std::string PipelineTokenizer::token_bytes(TokenId id) const {
  const Vocab& vocab = parts_.model->vocab();
  if ((flags_of(id) & kAdded) != 0) return decode_one(parts_.decoder, added_text_.at(id));
  if (!vocab.has(id)) return {};
  return decode_one(parts_.decoder, vocab.token(id));
}

std::string PipelineTokenizer::token_text(TokenId id) const { return utf8::sanitize(token_bytes(id)); }

std::map<TokenId, std::string> PipelineTokenizer::plain_added_tokens() const {
  std::map<TokenId, std::string> tokens;
  for (const AddedToken& token : parts_.added) {
    if (!token.special) tokens.emplace(token.id, token.content);
  }
  return tokens;
}

TokenId PipelineTokenizer::token_to_id(std::string_view token) const {
  const auto it = added_ids_.find(std::string(token));
  return it != added_ids_.end() ? it->second : parts_.model->vocab().find_token(token);
}

}  // namespace pegainfer

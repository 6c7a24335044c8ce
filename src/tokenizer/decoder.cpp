#include "tokenizer/decoder.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/utf8.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

// The value of a token such as <0x0A>, -1 for any other.
int byte_of(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return -1;
  int value = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

// A stage that passes on to another.
class Stage : public DecodeStage {
 public:
  explicit Stage(DecodeStage& next) : next_(next) {}

 protected:
  void put(std::string_view part) {
    if (!part.empty()) next_.text(part);
  }
  DecodeStage& next_;
};

// Runs of byte tokens become text when they are valid UTF-8 as a whole, else one U+FFFD for each byte: so a
// run must end before anything of it is certain.
class ByteFallbackStage final : public Stage {
 public:
  using Stage::Stage;
  void text(std::string_view part) override {
    if (passing_) {
      put(part);
      return;
    }
    token_ += part;
    if (token_.size() > 6) pass();
  }
  void end_token() override {
    if (!passing_) {
      const int byte = byte_of(token_);
      if (byte >= 0) {
        run_ += static_cast<char>(byte);
        token_.clear();
        return;
      }
      pass();
    }
    passing_ = false;
    next_.end_token();
  }
  void finish() override {
    end_run();
    next_.finish();
  }

 private:
  void pass() {
    end_run();
    put(token_);
    token_.clear();
    passing_ = true;
  }
  void end_run() {
    if (run_.empty()) return;
    if (utf8::valid(run_)) {
      put(run_);
      next_.end_token();
    } else {
      for (size_t i = 0; i < run_.size(); ++i) {
        put(utf8::kReplacement);
        next_.end_token();
      }
    }
    run_.clear();
  }

  std::string token_;
  std::string run_;
  bool passing_ = false;  // the current token is not a byte token
};

class FuseStage final : public Stage {
 public:
  using Stage::Stage;
  void text(std::string_view part) override { put(part); }
  void end_token() override {}
  void finish() override {
    next_.end_token();
    next_.finish();
  }
};

// Removes up to `start` leading and `stop` trailing copies of one character from each token.
class StripStage final : public Stage {
 public:
  StripStage(DecodeStage& next, const DecoderStep& step) : Stage(next), step_(step) {}
  void text(std::string_view part) override {
    for (size_t i = 0; i < part.size();) {
      const std::string_view c = part.substr(i, unicode::length_of(part[i]));
      i += c.size();
      const bool match = c == step_.pattern;
      if (leading_ && match && removed_ < step_.start) {
        ++removed_;
        continue;
      }
      leading_ = false;
      if (match && step_.stop > 0) {
        if (held_ == step_.stop) {
          put(c);
        } else {
          ++held_;
        }
        continue;
      }
      release();
      put(c);
    }
  }
  void end_token() override {
    leading_ = true;
    removed_ = 0;
    held_ = 0;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  void release() {
    for (; held_ > 0; --held_) put(step_.pattern);
  }

  const DecoderStep& step_;
  bool leading_ = true;
  size_t removed_ = 0;
  size_t held_ = 0;  // trailing copies so far, at most `stop`
};

class MetaspaceStage final : public Stage {
 public:
  MetaspaceStage(DecodeStage& next, const DecoderStep& step) : Stage(next), step_(step) {}
  void text(std::string_view part) override {
    const std::string_view mark = step_.pattern;
    for (size_t at = part.find(mark); at != std::string_view::npos; at = part.find(mark)) {
      put(part.substr(0, at));
      if (!(first_ && step_.drops_first)) put(" ");
      part.remove_prefix(at + mark.size());
    }
    put(part);
  }
  void end_token() override {
    first_ = false;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  const DecoderStep& step_;
  bool first_ = true;
};

// Replaces within each token. A string is looked for as the text comes, holding back what may be the start
// of it; a regular expression needs the whole token.
class ReplaceStage final : public Stage {
 public:
  ReplaceStage(DecodeStage& next, const DecoderStep& step) : Stage(next), step_(step) {}
  void text(std::string_view part) override {
    held_ += part;
    if (step_.regex != nullptr) return;
    const std::string_view text = held_;
    size_t done = 0;
    for (size_t at = text.find(step_.pattern); at != std::string_view::npos;
         at = text.find(step_.pattern, done)) {
      put(text.substr(done, at - done));
      put(step_.content);
      done = at + step_.pattern.size();
    }
    size_t keep = std::min(step_.pattern.size() - 1, text.size() - done);
    while (keep > 0 && !std::string_view(step_.pattern).starts_with(text.substr(text.size() - keep))) --keep;
    put(text.substr(done, text.size() - keep - done));
    held_.erase(0, held_.size() - keep);
  }
  void end_token() override {
    if (step_.regex != nullptr) {
      std::string out;
      replace_all(held_, *step_.regex, step_.content, out);
      put(out);
    } else {
      put(held_);
    }
    held_.clear();
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  const DecoderStep& step_;
  std::string held_;
};

class JoinStage final : public Stage {
 public:
  using Stage::Stage;
  void text(std::string_view part) override {
    separate();
    put(part);
  }
  void end_token() override {
    separate();
    in_token_ = false;
    next_.end_token();
  }
  void finish() override { next_.finish(); }

 private:
  void separate() {
    if (std::exchange(in_token_, true)) return;
    if (std::exchange(any_, true)) put(" ");
  }
  bool in_token_ = false;
  bool any_ = false;
};

}  // namespace

class DecodeChain::Output final : public DecodeStage {
 public:
  explicit Output(std::string& out) : out_(out) {}
  void text(std::string_view part) override { out_ += part; }
  void end_token() override {}
  void finish() override {}

 private:
  std::string& out_;
};

// Tokens in GPT-2's alphabet to bytes, and these to text; a token with any other character counts as it is.
class DecodeChain::ByteLevel final : public Stage {
 public:
  using Stage::Stage;
  void text(std::string_view part) override { token_ += part; }
  void end_token() override {
    const std::optional<std::string> raw = alphabet_to_bytes(token_);
    bytes(raw ? *raw : token_);
    token_.clear();
  }
  void finish() override {
    if (!pending_.empty()) put(utf8::kReplacement);
    pending_.clear();
    next_.end_token();
    next_.finish();
  }
  // Passes on whole characters; only an unfinished one at the end is held back.
  void bytes(std::string_view raw) {
    if (!pending_.empty()) {
      pending_ += raw;
      const std::string all = std::exchange(pending_, {});
      emit(all);
    } else {
      emit(raw);
    }
  }

 private:
  void emit(std::string_view text) {
    while (!text.empty()) {
      const size_t good = utf8::find_invalid(text);
      if (good == std::string_view::npos) {
        put(text);
        return;
      }
      put(text.substr(0, good));
      text.remove_prefix(good);
      const utf8::Sequence broken = utf8::next(text);
      if (broken.incomplete) {
        pending_ = text;
        return;
      }
      put(utf8::kReplacement);
      text.remove_prefix(broken.length);
    }
  }

  std::string token_;
  std::string pending_;
};

DecodeChain::DecodeChain(const DecoderSteps& steps) {
  stages_.push_back(std::make_unique<Output>(out_));
  using Kind = DecoderStep::Kind;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    DecodeStage& next = *stages_.back();
    byte_level_ = nullptr;
    switch (step->kind) {
      case Kind::kByteLevel: {
        auto stage = std::make_unique<ByteLevel>(next);
        byte_level_ = stage.get();
        stages_.push_back(std::move(stage));
        break;
      }
      case Kind::kReplace: stages_.push_back(std::make_unique<ReplaceStage>(next, *step)); break;
      case Kind::kByteFallback: stages_.push_back(std::make_unique<ByteFallbackStage>(next)); break;
      case Kind::kFuse: stages_.push_back(std::make_unique<FuseStage>(next)); break;
      case Kind::kStrip: stages_.push_back(std::make_unique<StripStage>(next, *step)); break;
      case Kind::kMetaspace: stages_.push_back(std::make_unique<MetaspaceStage>(next, *step)); break;
      case Kind::kJoinWithSpaces: stages_.push_back(std::make_unique<JoinStage>(next)); break;
    }
  }
}

DecodeChain::~DecodeChain() = default;

void DecodeChain::token(std::string_view token) {
  stages_.back()->text(token);
  stages_.back()->end_token();
}

void DecodeChain::bytes(std::string_view raw) { byte_level_->bytes(raw); }

void DecodeChain::finish() { stages_.back()->finish(); }

std::string decode_one(const DecoderSteps& steps, std::string_view token) {
  std::string text(token);
  for (const DecoderStep& step : steps) {
    switch (step.kind) {
      case DecoderStep::Kind::kByteLevel: {
        if (std::optional<std::string> raw = alphabet_to_bytes(text)) text = *std::move(raw);
        break;
      }
      case DecoderStep::Kind::kByteFallback:
        if (const int byte = byte_of(text); byte >= 0) return std::string(1, static_cast<char>(byte));
        break;
      case DecoderStep::Kind::kReplace: {
        std::string out;
        if (step.regex != nullptr) {
          replace_all(text, *step.regex, step.content, out);
        } else {
          replace_all(text, step.pattern, step.content, out);
        }
        text = std::move(out);
        break;
      }
      case DecoderStep::Kind::kMetaspace: {
        std::string out;
        replace_all(text, step.pattern, " ", out);
        text = std::move(out);
        break;
      }
      case DecoderStep::Kind::kFuse:
      case DecoderStep::Kind::kStrip:
      case DecoderStep::Kind::kJoinWithSpaces: break;
    }
  }
  return text;
}

}  // namespace pegainfer

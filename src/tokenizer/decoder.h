// The decoders of tokenizer.json as a chain of stages that take tokens as they come and give text as soon as
// it is certain. Whole-text decoding is the same chain, so the two cannot differ.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/regex.h"

namespace pegainfer {

struct DecoderStep {
  enum class Kind : uint8_t {
    kByteLevel,
    kReplace,
    kByteFallback,
    kFuse,
    kStrip,
    kMetaspace,
    kJoinWithSpaces
  };
  Kind kind = Kind::kFuse;
  std::string pattern;  // Replace: the string; Metaspace: the replacement character; Strip: the content
  std::shared_ptr<Regex> regex;  // Replace: when not null, instead of `pattern`
  std::string content;           // Replace: what comes instead
  size_t start = 0;              // Strip: how many at most
  size_t stop = 0;
  bool drops_first = false;  // Metaspace: the first token's spaces are not text
};
using DecoderSteps = std::vector<DecoderStep>;

// One stage at work. Its input is a series of tokens, each in one or more parts; every part is whole UTF-8
// characters.
class DecodeStage {
 public:
  virtual ~DecodeStage() = default;
  virtual void text(std::string_view part) = 0;
  virtual void end_token() = 0;
  virtual void finish() = 0;
};

// The state of decoding one sequence.
class DecodeChain {
 public:
  // `steps` must outlive the chain.
  explicit DecodeChain(const DecoderSteps& steps);
  DecodeChain(const DecodeChain&) = delete;
  DecodeChain& operator=(const DecodeChain&) = delete;
  ~DecodeChain();

  // A token as tokenizer.json writes it.
  void token(std::string_view token);
  // A token's raw bytes; only when takes_bytes().
  void bytes(std::string_view raw);
  [[nodiscard]] bool takes_bytes() const { return byte_level_ != nullptr; }
  void finish();
  // What has become certain since the last call.
  std::string take() { return std::exchange(out_, {}); }

 private:
  class Output;
  class ByteLevel;
  std::string out_;
  std::vector<std::unique_ptr<DecodeStage>> stages_;  // the last one first
  ByteLevel* byte_level_ = nullptr;                   // when it is the first stage
};

// The bytes one token stands for, wherever it stands: what depends on the place (Strip, the first token's
// space) is left out.
std::string decode_one(const DecoderSteps& steps, std::string_view token);

}  // namespace pegainfer

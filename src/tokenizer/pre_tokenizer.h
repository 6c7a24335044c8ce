// The pre-tokenizers of tokenizer.json: each cuts a piece of text into smaller ones, which go on to the next
// one at once, so that a text of any size needs no list of its pieces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/regex.h"
#include "tokenizer/scanners.h"

namespace pegainfer {

struct Piece {
  std::string_view text;  // valid UTF-8
  size_t origin = 0;      // leading bytes that stem from the first character of the whole input

  [[nodiscard]] Piece part(size_t begin, size_t end) const {
    return {text.substr(begin, end - begin), origin > begin ? origin - begin : 0};
  }
};

// Takes the final pieces.
class PieceSink {
 public:
  virtual void piece(std::string_view text) = 0;

 protected:
  ~PieceSink() = default;
};

class PreTokenizer;
using PreTokenizers = std::vector<std::unique_ptr<PreTokenizer>>;

// What comes after a pre-tokenizer.
class Next {
 public:
  Next(std::span<const std::unique_ptr<PreTokenizer>> rest, PieceSink& sink) : rest_(rest), sink_(&sink) {}
  void operator()(const Piece& piece) const;

 private:
  std::span<const std::unique_ptr<PreTokenizer>> rest_;
  PieceSink* sink_;
};

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void split(const Piece& piece, const Next& next) const = 0;
};

inline void Next::operator()(const Piece& piece) const {
  if (piece.text.empty()) return;
  if (rest_.empty()) {
    sink_->piece(piece.text);
  } else {
    rest_[0]->split(piece, Next(rest_.subspan(1), *sink_));
  }
}

// What becomes of the matches of a pattern.
enum class Behavior : uint8_t { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };
enum class PrependScheme : uint8_t { kFirst, kNever, kAlways };

std::unique_ptr<PreTokenizer> make_split(std::string pattern, Behavior behavior, bool invert);  // not empty
std::unique_ptr<PreTokenizer> make_split(std::unique_ptr<Regex> pattern, Behavior behavior, bool invert);
std::unique_ptr<PreTokenizer> make_scan(ScanFn scan);  // a known pattern, Isolated
std::unique_ptr<PreTokenizer> make_digits(bool individual);
std::unique_ptr<PreTokenizer> make_punctuation(Behavior behavior);
std::unique_ptr<PreTokenizer> make_whitespace_split();
std::unique_ptr<PreTokenizer> make_whitespace();  // \w+|[^\w\s]+
std::unique_ptr<PreTokenizer> make_metaspace(std::string replacement, PrependScheme scheme, bool split);
std::unique_ptr<PreTokenizer> make_prefix_space();   // ByteLevel's add_prefix_space
std::unique_ptr<PreTokenizer> make_byte_alphabet();  // ByteLevel's mapping, where it is not the last step

}  // namespace pegainfer

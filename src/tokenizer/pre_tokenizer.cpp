#include "tokenizer/pre_tokenizer.h"

#include <utility>

#include "tokenizer/byte_alphabet.h"
#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

// Turns alternating segments (matches of a pattern and what is between) into pieces. One segment is held
// back, because the next may join it.
class Joiner {
 public:
  Joiner(const Piece& piece, Behavior behavior, bool invert, const Next& next)
      : piece_(piece), next_(next), behavior_(behavior), invert_(invert) {}

  void segment(size_t begin, size_t end, bool is_match) {
    is_match = is_match != invert_;
    switch (behavior_) {
      case Behavior::kIsolated: next_(piece_.part(begin, end)); return;
      case Behavior::kRemoved:
        if (!is_match) next_(piece_.part(begin, end));
        return;
      case Behavior::kContiguous: put(begin, end, is_match == was_match_); break;
      case Behavior::kMergedWithPrevious: put(begin, end, is_match && !was_match_); break;
      case Behavior::kMergedWithNext: put(begin, end, was_match_ && !is_match); break;
    }
    was_match_ = is_match;
  }
  void finish() {
    if (holding_) next_(piece_.part(begin_, end_));
  }

 private:
  void put(size_t begin, size_t end, bool joins) {
    if (holding_ && joins) {
      end_ = end;
      return;
    }
    finish();
    holding_ = true;
    begin_ = begin;
    end_ = end;
  }

  const Piece& piece_;
  const Next& next_;
  Behavior behavior_;
  bool invert_;
  bool was_match_ = false;
  bool holding_ = false;
  size_t begin_ = 0;
  size_t end_ = 0;
};

class SplitString final : public PreTokenizer {
 public:
  SplitString(std::string pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void split(const Piece& piece, const Next& next) const override {
    Joiner joiner(piece, behavior_, invert_, next);
    size_t done = 0;
    for (size_t at = piece.text.find(pattern_); at != std::string_view::npos;
         at = piece.text.find(pattern_, done)) {
      if (at > done) joiner.segment(done, at, false);
      done = at + pattern_.size();
      joiner.segment(at, done, true);
    }
    if (done < piece.text.size()) joiner.segment(done, piece.text.size(), false);
    joiner.finish();
  }

 private:
  std::string pattern_;
  Behavior behavior_;
  bool invert_;
};

class SplitRegex final : public PreTokenizer {
 public:
  SplitRegex(std::unique_ptr<Regex> pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}
  void split(const Piece& piece, const Next& next) const override {
    Joiner joiner(piece, behavior_, invert_, next);
    Regex::Finder finder(*pattern_, piece.text);
    Regex::Match match;
    size_t done = 0;
    while (finder.next(&match)) {
      if (match.begin > done) joiner.segment(done, match.begin, false);
      joiner.segment(match.begin, match.end, true);
      done = match.end;
    }
    if (done < piece.text.size()) joiner.segment(done, piece.text.size(), false);
    joiner.finish();
  }

 private:
  std::unique_ptr<Regex> pattern_;
  Behavior behavior_;
  bool invert_;
};

class Scan final : public PreTokenizer {
 public:
  explicit Scan(ScanFn scan) : scan_(scan) {}
  void split(const Piece& piece, const Next& next) const override {
    for (size_t pos = 0; pos < piece.text.size();) {
      const size_t end = scan_(classes_, piece.text, pos);
      next(piece.part(pos, end));
      pos = end;
    }
  }

 private:
  ScanFn scan_;
  const unicode::ClassTable& classes_ = unicode::ClassTable::get();
};

// Splits at single characters of a class.
class SplitClass final : public PreTokenizer {
 public:
  SplitClass(unsigned mask, Behavior behavior) : mask_(mask), behavior_(behavior) {}
  void split(const Piece& piece, const Next& next) const override {
    Joiner joiner(piece, behavior_, false, next);
    size_t done = 0;
    for (size_t pos = 0; pos < piece.text.size();) {
      const unicode::Char c = unicode::decode(piece.text.data() + pos);
      const size_t end = pos + c.length;
      if ((classes_.of(c.code) & mask_) != 0) {
        if (pos > done) joiner.segment(done, pos, false);
        joiner.segment(pos, end, true);
        done = end;
      }
      pos = end;
    }
    if (done < piece.text.size()) joiner.segment(done, piece.text.size(), false);
    joiner.finish();
  }

 private:
  unsigned mask_;
  Behavior behavior_;
  const unicode::ClassTable& classes_ = unicode::ClassTable::get();
};

// Runs of word characters, and runs of what is neither that nor white space; white space is dropped.
class Whitespace final : public PreTokenizer {
 public:
  void split(const Piece& piece, const Next& next) const override {
    size_t begin = 0;
    unsigned kind = unicode::kSpace;
    for (size_t pos = 0; pos < piece.text.size();) {
      const unicode::Char c = unicode::decode(piece.text.data() + pos);
      const unsigned now = classes_.of(c.code) & (unicode::kSpace | unicode::kWord);
      if (now != kind) {
        if (kind != unicode::kSpace) next(piece.part(begin, pos));
        begin = pos;
        kind = now;
      }
      pos += c.length;
    }
    if (kind != unicode::kSpace) next(piece.part(begin, piece.text.size()));
  }

 private:
  const unicode::ClassTable& classes_ = unicode::ClassTable::get();
};

class Metaspace final : public PreTokenizer {
 public:
  Metaspace(std::string replacement, PrependScheme scheme, bool split)
      : replacement_(std::move(replacement)), scheme_(scheme), split_(split) {}
  void split(const Piece& piece, const Next& next) const override {
    const bool may_prepend =
        scheme_ == PrependScheme::kAlways || (scheme_ == PrependScheme::kFirst && piece.origin > 0);
    const bool prepend =
        may_prepend && piece.text[0] != ' ' && piece.text.substr(0, replacement_.size()) != replacement_;
    std::string text;
    text.reserve(piece.text.size() + piece.text.size() / 2 + replacement_.size());
    if (prepend) text = replacement_;
    size_t origin = piece.origin > 0 && prepend ? piece.origin + replacement_.size() : piece.origin;
    for (size_t i = 0; i < piece.text.size(); ++i) {
      if (piece.text[i] != ' ') {
        text += piece.text[i];
        continue;
      }
      text += replacement_;
      if (i < piece.origin) origin += replacement_.size() - 1;
    }
    const Piece whole{text, origin};
    if (!split_) {
      next(whole);
      return;
    }
    // Before each replacement character a piece begins.
    size_t begin = 0;
    while (begin < text.size()) {
      const size_t from =
          begin + (text.compare(begin, replacement_.size(), replacement_) == 0 ? replacement_.size() : 0);
      const size_t found = text.find(replacement_, from);
      const size_t end = found == std::string::npos ? text.size() : found;
      next(whole.part(begin, end));
      begin = end;
    }
  }

 private:
  std::string replacement_;
  PrependScheme scheme_;
  bool split_;
};

class PrefixSpace final : public PreTokenizer {
 public:
  void split(const Piece& piece, const Next& next) const override {
    if (piece.text[0] == ' ') {
      next(piece);
      return;
    }
    std::string text = " ";
    text += piece.text;
    next({text, piece.origin > 0 ? piece.origin + 1 : 0});
  }
};

class ByteAlphabet final : public PreTokenizer {
 public:
  void split(const Piece& piece, const Next& next) const override {
    const std::string text = bytes_to_alphabet(piece.text);
    next({text, bytes_to_alphabet(piece.text.substr(0, piece.origin)).size()});
  }
};

}  // namespace

std::unique_ptr<PreTokenizer> make_split(std::string pattern, Behavior behavior, bool invert) {
  return std::make_unique<SplitString>(std::move(pattern), behavior, invert);
}
std::unique_ptr<PreTokenizer> make_split(std::unique_ptr<Regex> pattern, Behavior behavior, bool invert) {
  return std::make_unique<SplitRegex>(std::move(pattern), behavior, invert);
}
std::unique_ptr<PreTokenizer> make_scan(ScanFn scan) { return std::make_unique<Scan>(scan); }
std::unique_ptr<PreTokenizer> make_digits(bool individual) {
  return std::make_unique<SplitClass>(unicode::kNumeric,
                                      individual ? Behavior::kIsolated : Behavior::kContiguous);
}
std::unique_ptr<PreTokenizer> make_punctuation(Behavior behavior) {
  return std::make_unique<SplitClass>(unicode::kPunct, behavior);
}
std::unique_ptr<PreTokenizer> make_whitespace_split() {
  return std::make_unique<SplitClass>(unicode::kSpace, Behavior::kRemoved);
}
std::unique_ptr<PreTokenizer> make_whitespace() { return std::make_unique<Whitespace>(); }
std::unique_ptr<PreTokenizer> make_metaspace(std::string replacement, PrependScheme scheme, bool split) {
  return std::make_unique<Metaspace>(std::move(replacement), scheme, split);
}
std::unique_ptr<PreTokenizer> make_prefix_space() { return std::make_unique<PrefixSpace>(); }
std::unique_ptr<PreTokenizer> make_byte_alphabet() { return std::make_unique<ByteAlphabet>(); }

}  // namespace pegainfer

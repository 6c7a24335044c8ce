#include "tokenizer/scanners.h"

namespace pegainfer {

const std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

namespace {

using unicode::Char;
using unicode::ClassTable;
using unicode::decode;
using unicode::kLetter;
using unicode::kLower;
using unicode::kMark;
using unicode::kNumber;
using unicode::kSpace;
using unicode::kUpper;

constexpr unsigned kWordOrSpace = kLetter | kNumber | kSpace;

// Reads classes at positions of one text.
class Reader {
 public:
  Reader(const ClassTable& classes, std::string_view text) : classes_(classes), text_(text) {}

  struct At {
    unsigned bits = 0;
    size_t end = 0;  // of the character
  };
  [[nodiscard]] At at(size_t pos) const {
    const char c = text_[pos];
    if (static_cast<unsigned char>(c) < 0x80) return {classes_.of_byte(c), pos + 1};
    const Char wide = decode(text_.data() + pos);
    return {classes_.of(wide.code), pos + wide.length};
  }
  // Past the characters from `pos` that have a bit of `mask`.
  [[nodiscard]] size_t run_of(unsigned mask, size_t pos) const {
    while (pos < text_.size()) {
      const At a = at(pos);
      if ((a.bits & mask) == 0) break;
      pos = a.end;
    }
    return pos;
  }
  // Past the characters from `pos` that have none.
  [[nodiscard]] size_t run_without(unsigned mask, size_t pos) const {
    while (pos < text_.size()) {
      const At a = at(pos);
      if ((a.bits & mask) != 0) break;
      pos = a.end;
    }
    return pos;
  }
  [[nodiscard]] size_t newlines(size_t pos) const {
    while (pos < text_.size() && is_newline(text_[pos])) ++pos;
    return pos;
  }
  [[nodiscard]] size_t size() const { return text_.size(); }
  [[nodiscard]] char byte(size_t pos) const { return text_[pos]; }
  static bool is_newline(char c) { return c == '\n' || c == '\r'; }

  // \s*[\r\n]+ (when `lines`), \s+(?!\S), \s+ at a white-space character.
  [[nodiscard]] size_t white_space(size_t pos, bool lines) const {
    size_t after_newline = 0;
    size_t last = pos;  // start of the last white-space character
    size_t end = pos;
    while (end < text_.size()) {
      const At a = at(end);
      if ((a.bits & kSpace) == 0) break;
      if (lines && is_newline(text_[end])) after_newline = a.end;
      last = end;
      end = a.end;
    }
    if (after_newline != 0) return after_newline;
    // The last one is left to the word that follows, unless it is all there is.
    return end == text_.size() || last == pos ? end : last;
  }

  // Length of 's 't 're 've 'm 'll 'd at `pos`, 0 when there is none.
  [[nodiscard]] size_t contraction(size_t pos, bool any_case) const {
    if (pos + 1 >= text_.size() || text_[pos] != '\'') return 0;
    const auto letter = [&](size_t i) {
      const char c = i < text_.size() ? text_[i] : '\0';
      return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    };
    const char a = letter(pos + 1);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    const char b = letter(pos + 2);
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    // The long s folds to s.
    if (any_case && text_.substr(pos + 1, 2) == "\xC5\xBF") return 3;
    return 0;
  }

 private:
  const ClassTable& classes_;
  std::string_view text_;
};

// Llama 3 and Qwen 2 differ in how many digits make a piece.
template <int max_digits>
size_t scan_cl100k(const ClassTable& classes, std::string_view text, size_t pos) {
  const Reader r(classes, text);
  const Reader::At first = r.at(pos);
  if ((first.bits & kLetter) != 0) return r.run_of(kLetter, first.end);
  if ((first.bits & kNumber) != 0) {
    size_t end = first.end;
    for (int i = 1; i < max_digits && end < text.size(); ++i) {
      const Reader::At a = r.at(end);
      if ((a.bits & kNumber) == 0) break;
      end = a.end;
    }
    return end;
  }
  if (const size_t n = r.contraction(pos, true); n != 0) return pos + n;
  const char c = text[pos];
  Reader::At second;
  if (first.end < text.size()) {
    second = r.at(first.end);
    if ((second.bits & kLetter) != 0 && !Reader::is_newline(c)) return r.run_of(kLetter, second.end);
  }
  const bool has_second = first.end < text.size();
  if ((first.bits & kSpace) == 0) return r.newlines(r.run_without(kWordOrSpace, first.end));
  if (c == ' ' && has_second && (second.bits & kWordOrSpace) == 0) {
    return r.newlines(r.run_without(kWordOrSpace, second.end));
  }
  return r.white_space(pos, true);
}

}  // namespace

size_t scan_gpt2(const ClassTable& classes, std::string_view text, size_t pos) {
  const Reader r(classes, text);
  if (const size_t n = r.contraction(pos, false); n != 0) return pos + n;
  Reader::At a = r.at(pos);
  if (text[pos] == ' ' && a.end < text.size()) {
    const Reader::At second = r.at(a.end);
    if ((second.bits & kSpace) == 0) a = second;
  }
  if ((a.bits & kLetter) != 0) return r.run_of(kLetter, a.end);
  if ((a.bits & kNumber) != 0) return r.run_of(kNumber, a.end);
  if ((a.bits & kSpace) == 0) return r.run_without(kWordOrSpace, a.end);
  return r.white_space(pos, false);
}

size_t scan_llama3(const ClassTable& classes, std::string_view text, size_t pos) {
  return scan_cl100k<3>(classes, text, pos);
}

size_t scan_qwen2(const ClassTable& classes, std::string_view text, size_t pos) {
  return scan_cl100k<1>(classes, text, pos);
}

size_t scan_o200k(const ClassTable& classes, std::string_view text, size_t pos) {
  const Reader r(classes, text);
  // Upper: \p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}; lower: \p{Ll}\p{Lm}\p{Lo}\p{M}. Some characters are both.
  const auto upper = [](unsigned bits) { return (bits & (kLetter | kMark)) != 0 && (bits & kLower) == 0; };
  const auto lower = [](unsigned bits) { return (bits & (kLetter | kMark)) != 0 && (bits & kUpper) == 0; };
  const auto suffix = [&](size_t end) { return end + r.contraction(end, true); };
  struct Word {
    size_t mixed = 0;  // end of upper* lower+, 0 when it does not match
    size_t upper = 0;  // end of upper+ where there is no lower+ behind it
  };
  const auto word = [&](size_t begin) -> Word {
    size_t end = begin;
    size_t both_end = 0;  // end of the last character of the upper run that is lower as well
    while (end < text.size()) {
      const Reader::At a = r.at(end);
      if (!upper(a.bits)) break;
      if (lower(a.bits)) both_end = a.end;
      end = a.end;
    }
    size_t low = end;
    while (low < text.size()) {
      const Reader::At a = r.at(low);
      if (!lower(a.bits)) break;
      low = a.end;
    }
    if (low > end) return {low, 0};
    // upper* gives back up to its last character that can stand for lower+.
    return {both_end, end > begin ? end : 0};
  };
  const Reader::At first = r.at(pos);
  const bool may_prefix = !Reader::is_newline(text[pos]) && (first.bits & (kLetter | kNumber)) == 0;
  // In the expression's order: both alternatives with the optional prefix and without (a mark can be either).
  const Word prefixed = may_prefix && first.end < text.size() ? word(first.end) : Word{};
  if (prefixed.mixed != 0) return suffix(prefixed.mixed);
  const Word plain = word(pos);
  if (plain.mixed != 0) return suffix(plain.mixed);
  if (prefixed.upper != 0) return suffix(prefixed.upper);
  if (plain.upper != 0) return suffix(plain.upper);
  if ((first.bits & kNumber) != 0) {
    size_t end = first.end;
    for (int i = 1; i < 3 && end < text.size(); ++i) {
      const Reader::At a = r.at(end);
      if ((a.bits & kNumber) == 0) break;
      end = a.end;
    }
    return end;
  }
  const auto slashes = [&](size_t end) {
    while (end < text.size() && (Reader::is_newline(text[end]) || text[end] == '/')) ++end;
    return end;
  };
  if ((first.bits & kSpace) == 0) return slashes(r.run_without(kWordOrSpace, first.end));
  if (text[pos] == ' ' && first.end < text.size() && (r.at(first.end).bits & kWordOrSpace) == 0) {
    return slashes(r.run_without(kWordOrSpace, first.end));
  }
  return r.white_space(pos, true);
}

ScanFn find_scanner(std::string_view pattern) {
  if (pattern == kGpt2Pattern) return scan_gpt2;
  if (pattern == kLlama3Pattern) return scan_llama3;
  if (pattern == kQwen2Pattern) return scan_qwen2;
  if (pattern == kO200kPattern) return scan_o200k;
  return nullptr;
}

}  // namespace pegainfer

// Character classes and UTF-8 steps for text that is known to be valid UTF-8.
//
// The classes are those of the regular expression engine and the Rust library that Hugging Face `tokenizers`
// is built on (tables of Unicode 9 to 17, by part; utf8proc's are Unicode 15): utf8proc gives the bulk, and
// unicode_data.h what differs. Exactness with `tokenizers` is worth more here than one Unicode version.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pegainfer::unicode {

// One code point of valid UTF-8 and its length in bytes.
struct Char {
  uint32_t code = 0;
  uint32_t length = 0;
};

inline Char decode(const char* p) {
  const auto byte = [p](int i) { return static_cast<uint32_t>(static_cast<unsigned char>(p[i])); };
  const uint32_t c = byte(0);
  if (c < 0x80) return {c, 1};
  if (c < 0xE0) return {(c & 0x1FU) << 6 | (byte(1) & 0x3FU), 2};
  if (c < 0xF0) return {(c & 0x0FU) << 12 | (byte(1) & 0x3FU) << 6 | (byte(2) & 0x3FU), 3};
  return {(c & 0x07U) << 18 | (byte(1) & 0x3FU) << 12 | (byte(2) & 0x3FU) << 6 | (byte(3) & 0x3FU), 4};
}

// Length of the character that starts with byte `c`.
inline size_t length_of(char c) {
  const auto u = static_cast<unsigned char>(c);
  return u < 0x80 ? 1 : u < 0xE0 ? 2 : u < 0xF0 ? 3 : 4;
}

// Start of the character that ends at `end` (exclusive); `end` > 0.
inline size_t previous(std::string_view text, size_t end) {
  size_t i = end - 1;
  while (i > 0 && (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U) --i;
  return i;
}

void append(std::string& out, uint32_t code);

enum Class : uint16_t {
  kLetter = 1,    // \p{L}
  kNumber = 2,    // \p{N}
  kSpace = 4,     // \s, the White_Space property
  kMark = 8,      // \p{M}
  kUpper = 16,    // \p{Lu} or \p{Lt}
  kLower = 32,    // \p{Ll}
  kNumeric = 64,  // Rust's char::is_numeric (Digits)
  kPunct = 128,   // what the Punctuation pre-tokenizer splits at
  kWord = 256,    // \w of Rust's regex crate (Whitespace, single_word)
};

// Class bits by code point in two stages: blocks of 256, equal blocks stored once.
class ClassTable {
 public:
  static const ClassTable& get();  // built on first use, about a millisecond

  [[nodiscard]] uint16_t of(uint32_t code) const {
    return blocks_[static_cast<size_t>(index_[code >> 8U]) * 256 + (code & 0xFFU)];
  }
  [[nodiscard]] uint16_t of_byte(char ascii) const { return blocks_[static_cast<unsigned char>(ascii)]; }

 private:
  ClassTable();
  std::vector<uint16_t> blocks_;
  std::vector<uint16_t> index_;
};

// Lowercase as Rust's char::to_lowercase; appends one or two characters.
void append_lower(std::string& out, uint32_t code);

}  // namespace pegainfer::unicode

// Strings of a template: UTF-8 bytes that know which of them came from the request. Every string operation of
// the language goes through TextBuilder, so that the knowledge survives slices, joins, escapes and the rest.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/tokenizer.h"

namespace pegainfer::jinja {

struct Text {
  std::string bytes;
  std::vector<TextSpan> untrusted;  // ascending, not empty, apart from each other
  bool markup = false;              // Python's markupsafe.Markup: what `|safe` makes
};
using TextPtr = std::shared_ptr<const Text>;

class TextBuilder {
 public:
  void trusted(std::string_view bytes) { bytes_.append(bytes); }
  void untrusted(std::string_view bytes) { append(bytes, true); }
  void append(std::string_view bytes, bool untrusted);
  void append(const Text& text) { append(text, 0, text.bytes.size()); }
  void append(const Text& text, size_t begin, size_t end);
  [[nodiscard]] size_t size() const { return bytes_.size(); }
  void reserve(size_t bytes) { bytes_.reserve(bytes); }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }
  // What was built; the builder is empty afterwards.
  [[nodiscard]] Text take();

 private:
  std::string bytes_;
  std::vector<TextSpan> untrusted_;
};

TextPtr make_text(std::string_view bytes, bool untrusted = false);
TextPtr make_text(TextBuilder& builder, bool markup = false);
[[nodiscard]] Text slice_bytes(const Text& text, size_t begin, size_t end);

// Calls f(bytes, untrusted) for the longest stretches of equal trust of [begin, end).
template <class F>
void for_each_run(const Text& text, size_t begin, size_t end, F f) {
  const std::string_view bytes = text.bytes;
  size_t at = begin;
  for (const TextSpan& span : text.untrusted) {
    if (span.end <= at) continue;
    if (span.begin >= end) break;
    if (span.begin > at) f(bytes.substr(at, span.begin - at), false);
    const size_t from = span.begin > at ? span.begin : at;
    at = span.end < end ? span.end : end;
    f(bytes.substr(from, at - from), true);
  }
  if (at < end) f(bytes.substr(at, end - at), false);
}
template <class F>
void for_each_run(const Text& text, F f) {
  for_each_run(text, 0, text.bytes.size(), f);
}

// Code points, as Python counts and indexes strings. Broken UTF-8 counts a byte as one.
[[nodiscard]] size_t length(std::string_view bytes);
// Byte offset of code point `index`; the size when there are fewer.
[[nodiscard]] size_t offset_of(std::string_view bytes, size_t index);
// The code point at the start of `bytes` (not empty), U+FFFD with size 1 where it is broken.
struct CodePoint {
  char32_t value = 0;
  size_t size = 1;
};
[[nodiscard]] CodePoint decode(std::string_view bytes);
void encode(std::string& out, char32_t code_point);
std::string encode(char32_t code_point);

// Python's classes of characters.
[[nodiscard]] bool is_space(char32_t c);
[[nodiscard]] bool is_printable(char32_t c);
[[nodiscard]] bool is_alpha(char32_t c);
[[nodiscard]] bool is_decimal(char32_t c);
[[nodiscard]] bool is_digit(char32_t c);
[[nodiscard]] bool is_numeric(char32_t c);
[[nodiscard]] bool is_upper(char32_t c);
[[nodiscard]] bool is_lower(char32_t c);
[[nodiscard]] bool is_cased(char32_t c);
[[nodiscard]] bool is_line_end(char32_t c);  // where splitlines() splits
[[nodiscard]] bool is_word(char32_t c);      // \w of a regular expression, and of names
// One character can become several.
void append_upper(std::string& out, char32_t c);
void append_lower(std::string& out, char32_t c);
void append_title(std::string& out, char32_t c);

}  // namespace pegainfer::jinja

// UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pegainfer::utf8 {

struct Sequence {
  size_t length = 0;        // bytes to take: a whole character, or a maximal broken part (at least 1)
  bool valid = false;       // they are one character
  bool incomplete = false;  // not valid, but more bytes could make it so: the text ends inside a character
};

// The sequence at the start of `text`, which must not be empty.
[[nodiscard]] Sequence next(std::string_view text);

// Offset of the first broken sequence, npos when there is none.
[[nodiscard]] size_t find_invalid(std::string_view text);
[[nodiscard]] inline bool valid(std::string_view text) {
  return find_invalid(text) == std::string_view::npos;
}

// `text` with each maximal broken part replaced by U+FFFD (the Unicode standard's practice, as Python and
// Rust do it).
[[nodiscard]] std::string sanitize(std::string_view text);

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace pegainfer::utf8

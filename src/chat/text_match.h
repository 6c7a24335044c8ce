// Looking for marks in a text that arrives in pieces: what is decided never depends on where it was cut.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>

namespace pegainfer::chat {

enum class Match { kNo, kPartly, kYes };  // kPartly: more text may make it kYes

// Does `text` begin with `mark`? With `final` no more text comes.
[[nodiscard]] inline Match match(std::string_view text, std::string_view mark, bool final) {
  if (text.starts_with(mark)) return Match::kYes;
  return !final && mark.starts_with(text) ? Match::kPartly : Match::kNo;
}

struct FoundMark {
  size_t begin = 0;  // what lies before is surely text; what follows may be the beginning of a mark
  int mark = -1;     // which of the marks begins there; -1: none is there yet
};

// The first of `marks` in `text`. All marks begin with the same byte and none with another.
[[nodiscard]] inline FoundMark find_mark(std::string_view text, std::span<const std::string_view> marks,
                                         bool final) {
  const char first = marks.front().front();
  for (size_t i = text.find(first); i != std::string_view::npos; i = text.find(first, i + 1)) {
    for (size_t m = 0; m < marks.size(); ++m) {
      const Match found = match(text.substr(i), marks[m], final);
      if (found == Match::kYes) return {.begin = i, .mark = static_cast<int>(m)};
      if (found == Match::kPartly) return {.begin = i};
    }
  }
  return {.begin = text.size()};
}

}  // namespace pegainfer::chat

// Parts of a text on its way through steps that change its length.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "pegainfer/tokenizer.h"

namespace pegainfer {

// What a step replaced, in order. Text outside of the edits stays as it is.
class Edits {
 public:
  void clear() { edits_.clear(); }
  // Bytes [begin, end) became [out_begin, out_end) of what the step made.
  void add(size_t begin, size_t end, size_t out_begin, size_t out_end) {
    edits_.push_back({begin, end, out_begin, out_end});
  }
  // The same, less what both have in common at their ends.
  void add_difference(std::string_view in, size_t begin, std::string_view out, size_t out_begin);

  // Spans of the text before as spans of the text after. One that begins or ends within an edit takes in all
  // that the edit made; one that was deleted is empty and stands where it was.
  void map(std::vector<TextSpan>& spans) const;

 private:
  struct Edit {
    size_t begin, end, out_begin, out_end;
  };
  [[nodiscard]] size_t map_begin(size_t pos) const;
  [[nodiscard]] size_t map_end(size_t pos) const;

  std::vector<Edit> edits_;
};

// Whether one of `spans`, ascending, has a byte in [begin, end), or is empty and lies within.
bool touches(std::span<const TextSpan> spans, size_t begin, size_t end);

// The parts of `spans` in [begin, end), counted from `begin`.
std::vector<TextSpan> clip(std::span<const TextSpan> spans, size_t begin, size_t end);

}  // namespace pegainfer

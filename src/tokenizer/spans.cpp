#include "tokenizer/spans.h"

#include <algorithm>

namespace pegainfer {
namespace {

// The first span that ends behind `pos`.
std::span<const TextSpan>::iterator first_behind(std::span<const TextSpan> spans, size_t pos) {
  return std::partition_point(spans.begin(), spans.end(),
                              [pos](const TextSpan& span) { return span.end <= pos; });
}

}  // namespace

void Edits::add_difference(std::string_view in, size_t begin, std::string_view out, size_t out_begin) {
  const size_t shorter = std::min(in.size(), out.size());
  size_t head = 0;
  while (head < shorter && in[head] == out[head]) ++head;
  size_t tail = 0;
  while (tail < shorter - head && in[in.size() - 1 - tail] == out[out.size() - 1 - tail]) ++tail;
  if (head + tail == in.size() && in.size() == out.size()) return;
  add(begin + head, begin + in.size() - tail, out_begin + head, out_begin + out.size() - tail);
}

size_t Edits::map_begin(size_t pos) const {
  const auto behind =
      std::partition_point(edits_.begin(), edits_.end(), [pos](const Edit& e) { return e.begin <= pos; });
  if (behind == edits_.begin()) return pos;
  const Edit& edit = *(behind - 1);
  return pos < edit.end ? edit.out_begin : pos - edit.end + edit.out_end;
}

size_t Edits::map_end(size_t pos) const {
  const auto behind =
      std::partition_point(edits_.begin(), edits_.end(), [pos](const Edit& e) { return e.begin < pos; });
  if (behind == edits_.begin()) return pos;
  const Edit& edit = *(behind - 1);
  return pos < edit.end ? edit.out_end : pos - edit.end + edit.out_end;
}

void Edits::map(std::vector<TextSpan>& spans) const {
  if (edits_.empty()) return;
  for (TextSpan& span : spans) {
    const size_t begin = map_begin(span.begin);
    // Text put in at an empty span stands before it.
    span = {begin, std::max(begin, map_end(span.end))};
  }
}

bool touches(std::span<const TextSpan> spans, size_t begin, size_t end) {
  const auto it = first_behind(spans, begin);
  return it != spans.end() && it->begin < end;
}

std::vector<TextSpan> clip(std::span<const TextSpan> spans, size_t begin, size_t end) {
  std::vector<TextSpan> out;
  for (auto it = first_behind(spans, begin); it != spans.end() && it->begin < end; ++it) {
    out.push_back({std::max(it->begin, begin) - begin, std::min(it->end, end) - begin});
  }
  return out;
}

}  // namespace pegainfer

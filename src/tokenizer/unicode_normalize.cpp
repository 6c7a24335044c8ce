#include "tokenizer/unicode_normalize.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "tokenizer/unicode.h"
#include "tokenizer/unicode_data.h"

namespace pegainfer::unicode {
namespace {

constexpr uint32_t kNumCodes = 0x110000;
constexpr uint32_t kInterestingEnd = 0x33000;  // beyond it nothing decomposes or combines
constexpr int kMaxDecomposition = 32;          // the longest compatibility decomposition has 18 characters

bool is_compatibility(Form form) { return form == Form::kNfkc || form == Form::kNfkd; }
bool composes(Form form) { return form == Form::kNfc || form == Form::kNfkc; }

int combining_class(uint32_t code) {
  if (code < 0x300 || contains(kUnknownToNormalization, code)) return 0;
  return utf8proc_get_property(static_cast<utf8proc_int32_t>(code))->combining_class;
}

// Full decomposition of one character; returns how many were written.
int decompose(uint32_t code, bool compatibility, std::array<utf8proc_int32_t, kMaxDecomposition>& out) {
  if (code < 0xA0 || contains(kUnknownToNormalization, code)) {
    out[0] = static_cast<utf8proc_int32_t>(code);
    return 1;
  }
  int last_boundclass = 0;
  const int options = UTF8PROC_DECOMPOSE | (compatibility ? UTF8PROC_COMPAT : 0);
  const utf8proc_ssize_t n =
      utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), out.data(), kMaxDecomposition,
                              static_cast<utf8proc_option_t>(options), &last_boundclass);
  CHECK(n > 0 && n <= kMaxDecomposition, "decomposition of U+{:04X} gave {}", code, n);
  return static_cast<int>(n);
}

void clear(std::vector<uint64_t>& bits, uint32_t code) { bits[code >> 6U] &= ~(uint64_t{1} << (code & 63U)); }

}  // namespace

FormNormalizer::FormNormalizer(Form form) : form_(form), inert_(kNumCodes / 64, ~uint64_t{0}) {
  std::array<utf8proc_int32_t, kMaxDecomposition> parts{};
  for (uint32_t code = 0xA0; code < kInterestingEnd; ++code) {
    if (combining_class(code) != 0) clear(inert_, code);
    const int n = decompose(code, is_compatibility(form_), parts);
    const bool changes = n != 1 || parts[0] != static_cast<utf8proc_int32_t>(code);
    if (!composes(form_)) {
      if (changes) clear(inert_, code);
      continue;
    }
    // A primary composite stays when it is alone; whether it does is what composing its parts says.
    if (changes) {
      std::string alone;
      std::string out;
      append(alone, code);
      normalize_segment(alone, out);
      if (out != alone) clear(inert_, code);
      std::array<utf8proc_int32_t, kMaxDecomposition> canonical{};
      const int m = decompose(code, false, canonical);
      for (int i = 1; i < m; ++i) clear(inert_, static_cast<uint32_t>(canonical.at(static_cast<size_t>(i))));
    }
  }
  if (composes(form_)) {  // Hangul vowels and final consonants compose by arithmetic
    for (uint32_t code = 0x1160; code < 0x1200; ++code) clear(inert_, code);
  }
}

// First position from `pos` whose character is not inert, or the end; `last` is the start of the character
// before it (npos when there is none).
size_t FormNormalizer::skip_inert(std::string_view text, size_t pos, size_t* last) const {
  while (pos < text.size()) {
    if (pos + 8 <= text.size()) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + pos, 8);
      if ((word & 0x8080808080808080ULL) == 0) {
        pos += 8;
        *last = pos - 1;
        continue;
      }
    }
    const Char c = decode(text.data() + pos);
    if (!inert(c.code)) return pos;
    *last = pos;
    pos += c.length;
  }
  return pos;
}

std::string_view FormNormalizer::apply(std::string_view text, std::string& buffer, Edits* edits) const {
  size_t copied = 0;  // text before this is in the buffer already
  bool changed = false;
  size_t pos = 0;
  while (true) {
    size_t last = std::string_view::npos;
    const size_t bad = skip_inert(text, pos, &last);
    if (bad == text.size()) break;
    // What may change reaches back to the last inert character, which later marks may join.
    const size_t begin = last == std::string_view::npos ? bad : last;
    size_t end = bad;
    while (end < text.size()) {
      const Char c = decode(text.data() + end);
      if (end != bad && inert(c.code)) break;
      end += c.length;
    }
    if (!std::exchange(changed, true)) {
      buffer.clear();
      buffer.reserve(text.size() + text.size() / 8);
    }
    buffer.append(text, copied, begin - copied);
    const std::string_view segment = text.substr(begin, end - begin);
    const size_t out_begin = buffer.size();
    normalize_segment(segment, buffer);
    if (edits != nullptr) {
      edits->add_difference(segment, begin, std::string_view(buffer).substr(out_begin), out_begin);
    }
    copied = end;
    pos = end;
  }
  if (!changed) return text;
  buffer.append(text, copied);
  return buffer;
}

// Decomposes, orders the marks, and composes again. utf8proc's own ordering is quadratic in the length of a
// run of marks, so that is done here.
void FormNormalizer::normalize_segment(std::string_view segment, std::string& out) const {
  if (segment.empty()) return;
  // A character that is unknown to the tables we follow is inert, so it can only come first; utf8proc, which
  // knows it, must not see it.
  if (const Char first = decode(segment.data()); contains(kUnknownToNormalization, first.code)) {
    out += segment.substr(0, first.length);
    segment.remove_prefix(first.length);
    if (segment.empty()) return;
  }
  std::vector<std::pair<utf8proc_int32_t, int>> parts;  // code point, combining class
  parts.reserve(segment.size());
  std::array<utf8proc_int32_t, kMaxDecomposition> decomposed{};
  for (size_t i = 0; i < segment.size();) {
    const Char c = decode(segment.data() + i);
    i += c.length;
    const int n = decompose(c.code, is_compatibility(form_), decomposed);
    for (int k = 0; k < n; ++k) {
      const utf8proc_int32_t part = decomposed.at(static_cast<size_t>(k));
      parts.emplace_back(part, combining_class(static_cast<uint32_t>(part)));
    }
  }
  const auto is_starter = [](const auto& part) { return part.second == 0; };
  for (auto run = parts.begin(); run != parts.end();) {
    if (is_starter(*run)) {
      ++run;
      continue;
    }
    const auto run_end = std::find_if(run, parts.end(), is_starter);
    std::stable_sort(run, run_end, [](const auto& a, const auto& b) { return a.second < b.second; });
    run = run_end;
  }
  if (!composes(form_)) {
    for (const auto& [code, ccc] : parts) append(out, static_cast<uint32_t>(code));
    return;
  }
  std::vector<utf8proc_int32_t> codes;
  codes.reserve(parts.size() + 1);
  for (const auto& [code, ccc] : parts) codes.push_back(code);
  const utf8proc_ssize_t n =
      utf8proc_normalize_utf32(codes.data(), static_cast<utf8proc_ssize_t>(codes.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  CHECK(n >= 0, "utf8proc_normalize_utf32 gave {}", n);
  for (utf8proc_ssize_t i = 0; i < n; ++i) {
    append(out, static_cast<uint32_t>(codes[static_cast<size_t>(i)]));
  }
}

}  // namespace pegainfer::unicode

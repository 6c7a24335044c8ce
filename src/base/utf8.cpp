#include "base/utf8.h"

#include <cstdint>
#include <cstring>

namespace pegainfer::utf8 {
namespace {

struct Lead {
  size_t length;         // 0: not a lead byte
  unsigned char lowest;  // of the second byte
  unsigned char highest;
};

// The second byte's range is what excludes overlong forms, surrogates and values above U+10FFFF.
Lead lead_of(unsigned char c) {
  if (c < 0x80) return {1, 0, 0};
  if (c < 0xC2) return {0, 0, 0};
  if (c < 0xE0) return {2, 0x80, 0xBF};
  if (c == 0xE0) return {3, 0xA0, 0xBF};
  if (c == 0xED) return {3, 0x80, 0x9F};
  if (c < 0xF0) return {3, 0x80, 0xBF};
  if (c == 0xF0) return {4, 0x90, 0xBF};
  if (c < 0xF4) return {4, 0x80, 0xBF};
  if (c == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Sequence next(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const Lead lead = lead_of(byte(0));
  if (lead.length == 0) return {1, false, false};
  if (lead.length == 1) return {1, true, false};
  for (size_t i = 1; i < lead.length; ++i) {
    if (i >= text.size()) return {i, false, true};
    const unsigned char low = i == 1 ? lead.lowest : 0x80;
    const unsigned char high = i == 1 ? lead.highest : 0xBF;
    if (byte(i) < low || byte(i) > high) return {i, false, false};
  }
  return {lead.length, true, false};
}

size_t find_invalid(std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    // Eight ASCII bytes at a time: almost every text is mostly that.
    while (i + 8 <= text.size()) {
      uint64_t word = 0;
      std::memcpy(&word, text.data() + i, 8);
      if ((word & 0x8080808080808080ULL) != 0) break;
      i += 8;
    }
    if (i >= text.size()) break;
    const Sequence s = next(text.substr(i));
    if (!s.valid) return i;
    i += s.length;
  }
  return std::string_view::npos;
}

std::string sanitize(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t good = find_invalid(text);
    if (good == std::string_view::npos) {
      out += text;
      break;
    }
    out += text.substr(0, good);
    text.remove_prefix(good);
    out += kReplacement;
    text.remove_prefix(next(text).length);
  }
  return out;
}

}  // namespace pegainfer::utf8

#include "tokenizer/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <map>

#include "tokenizer/unicode_data.h"

namespace pegainfer::unicode {
namespace {

constexpr uint32_t kNumCodes = 0x110000;
// Above this only a few marks and tags (plane 14) have a class of interest.
constexpr uint32_t kDenseEnd = 0x33000;

uint16_t category_bits(uint32_t code) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return kLetter | kUpper | kWord;
    case UTF8PROC_CATEGORY_LL: return kLetter | kLower | kWord;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return kLetter | kWord;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return kMark | kWord;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL: return kNumber | kNumeric | kWord;
    case UTF8PROC_CATEGORY_NO: return kNumber | kNumeric;
    case UTF8PROC_CATEGORY_PC: return kPunct | kWord;
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO: return kPunct;
    default: return 0;
  }
}

template <size_t n>
void set(std::vector<uint16_t>& all, const Range (&ranges)[n], int bits) {
  for (const Range& r : ranges) {
    for (uint32_t c = r.first; c <= r.last; ++c) all[c] = static_cast<uint16_t>(all[c] | bits);
  }
}

std::vector<uint16_t> all_classes() {
  std::vector<uint16_t> all(kNumCodes, 0);
  for (uint32_t c = 0; c < kDenseEnd; ++c) all[c] = category_bits(c);
  for (uint32_t c = 0xE0000; c < 0xE1000; ++c) all[c] = category_bits(c);
  set(all, kNewLu, kLetter | kUpper | kWord);
  set(all, kNewLl, kLetter | kLower | kWord);
  set(all, kNewLm, kLetter | kWord);
  set(all, kNewLo, kLetter | kWord);
  set(all, kNewNd, kNumber | kNumeric | kWord);
  set(all, kNewNo, kNumber | kNumeric);
  set(all, kNewM, kMark | kWord);
  set(all, kNewNumeric, kNumeric);
  set(all, kWhiteSpace, kSpace);
  set(all, kOtherAlphabetic, kWord);
  set(all, kJoiners, kWord);
  set(all, kAlsoPunct, kPunct);
  for (const char c : std::string_view("$+<=>^`|~")) all[static_cast<unsigned char>(c)] |= kPunct;
  for (const Range& r : kNotPunct) {
    for (uint32_t c = r.first; c <= r.last; ++c) all[c] = static_cast<uint16_t>(all[c] & ~kPunct);
  }
  return all;
}

}  // namespace

ClassTable::ClassTable() {
  const std::vector<uint16_t> all = all_classes();
  std::map<std::vector<uint16_t>, uint16_t> seen;
  index_.reserve(kNumCodes / 256);
  for (uint32_t block = 0; block < kNumCodes / 256; ++block) {
    const auto begin = all.begin() + block * 256;
    std::vector<uint16_t> bits(begin, begin + 256);
    const auto next = static_cast<uint16_t>(seen.size());
    const auto [it, is_new] = seen.try_emplace(bits, next);
    if (is_new) blocks_.insert(blocks_.end(), bits.begin(), bits.end());
    index_.push_back(it->second);
  }
}

const ClassTable& ClassTable::get() {
  static const ClassTable table;
  return table;
}

void append(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
    return;
  }
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t n = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  for (utf8proc_ssize_t i = 0; i < n; ++i) out += static_cast<char>(bytes[i]);
}

void append_lower(std::string& out, uint32_t code) {
  if (code < 0x80) {
    out += static_cast<char>(code >= 'A' && code <= 'Z' ? code + 32 : code);
    return;
  }
  if (code == 0x130) {  // the one character whose lowercase is two: i with a dot above
    out += "i\xCC\x87";
    return;
  }
  for (const Shift& s : kNewLower) {
    if (code >= s.first && code <= s.last) {
      append(out, static_cast<uint32_t>(static_cast<int32_t>(code) + s.shift));
      return;
    }
  }
  append(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
}

}  // namespace pegainfer::unicode

// The four Unicode normalization forms in linear time (n log n in one run of combining marks), with the
// tables of Hugging Face `tokenizers`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/spans.h"

namespace pegainfer::unicode {

enum class Form : uint8_t { kNfc, kNfd, kNfkc, kNfkd };

class FormNormalizer {
 public:
  explicit FormNormalizer(Form form);

  // `text` itself when it is already normalized, else a view of `buffer`, which is overwritten.
  // `text` must be valid UTF-8 and not lie in `buffer`. What changed is added to `edits`, which may be null.
  std::string_view apply(std::string_view text, std::string& buffer, Edits* edits = nullptr) const;

 private:
  // Whether `code` stays as it is whatever stands around it, so that text may be cut before it.
  [[nodiscard]] bool inert(uint32_t code) const { return (inert_[code >> 6U] >> (code & 63U) & 1U) != 0; }
  [[nodiscard]] size_t skip_inert(std::string_view text, size_t pos, size_t* last) const;
  void normalize_segment(std::string_view segment, std::string& out) const;

  Form form_;
  std::vector<uint64_t> inert_;  // [0x110000 bits]
};

}  // namespace pegainfer::unicode

// The normalizers of tokenizer.json, applied one after another to each part of the text between added tokens.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/tokenizer.h"
#include "tokenizer/regex.h"
#include "tokenizer/spans.h"
#include "tokenizer/unicode_normalize.h"

namespace pegainfer {

// `origin` counts the leading bytes of a text that stem from the first character of the whole input, for
// Metaspace, which may add a space there only.
class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // `text` itself when nothing changes, else a view of `buffer`, which is overwritten. `text` is valid UTF-8.
  // What changed is added to `edits`, which may be null.
  virtual std::string_view apply(std::string_view text, std::string& buffer, size_t* origin,
                                 Edits* edits) const = 0;
  std::string_view apply(std::string_view text, std::string& buffer, size_t* origin) const {
    return apply(text, buffer, origin, nullptr);
  }
};

using Normalizers = std::vector<std::unique_ptr<Normalizer>>;

std::unique_ptr<Normalizer> make_form_normalizer(unicode::Form form);
std::unique_ptr<Normalizer> make_lowercase();
std::unique_ptr<Normalizer> make_strip(bool left, bool right);
std::unique_ptr<Normalizer> make_prepend(std::string text);
std::unique_ptr<Normalizer> make_replace(std::string pattern, std::string content);  // pattern not empty
std::unique_ptr<Normalizer> make_replace(std::unique_ptr<Regex> pattern, std::string content);

// Runs all of them; the result views `text` or one of the two buffers. `spans` of the text, when there are
// any, become those of the result.
std::string_view normalize(const Normalizers& normalizers, std::string_view text, std::string (&buffers)[2],
                           size_t* origin, std::vector<TextSpan>* spans = nullptr);

// `text` with every occurrence of `pattern` replaced, appended to `out`.
void replace_all(std::string_view text, std::string_view pattern, std::string_view content, std::string& out,
                 Edits* edits = nullptr);
void replace_all(std::string_view text, const Regex& pattern, std::string_view content, std::string& out,
                 Edits* edits = nullptr);

}  // namespace pegainfer

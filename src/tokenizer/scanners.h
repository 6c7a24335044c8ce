// Hand-written scanners for the split patterns that most models use. Each returns what the regular
// expression would match at a position; those patterns match at every position, so a text is cut without
// gaps. The tests hold them against the expressions themselves.
#pragma once

#include <cstddef>
#include <string_view>

#include "tokenizer/unicode.h"

namespace pegainfer {

// End of the match at `pos` (< text.size()) of valid UTF-8 `text`; always > pos.
using ScanFn = size_t (*)(const unicode::ClassTable& classes, std::string_view text, size_t pos);

size_t scan_gpt2(const unicode::ClassTable& classes, std::string_view text, size_t pos);
size_t scan_llama3(const unicode::ClassTable& classes, std::string_view text, size_t pos);  // digits by three
size_t scan_qwen2(const unicode::ClassTable& classes, std::string_view text,
                  size_t pos);  // digits one by one
size_t scan_o200k(const unicode::ClassTable& classes, std::string_view text, size_t pos);

// The scanner whose pattern is exactly `pattern`, null when there is none.
ScanFn find_scanner(std::string_view pattern);

extern const std::string_view kGpt2Pattern;
extern const std::string_view kLlama3Pattern;
extern const std::string_view kQwen2Pattern;
extern const std::string_view kO200kPattern;

}  // namespace pegainfer

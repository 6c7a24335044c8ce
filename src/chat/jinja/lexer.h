// A template's source as tokens, by the rules of Jinja with trim_blocks and lstrip_blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pegainfer::jinja {

enum class Token : uint8_t {
  kData,           // text between tags, whitespace control applied
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kName,
  kString,   // `text` is what it stands for
  kInteger,  // `text` in decimal, octal, ... as written, without '_'
  kFloat,
  kOperator,
  kEnd
};

struct Lexeme {
  Token token = Token::kEnd;
  std::string text;
  size_t at = 0;  // byte of the source
};

// One line end for all kinds, one of them at the end taken off. Positions are of this text.
std::string normalize_source(std::string_view source);

// Throws Failure.
std::vector<Lexeme> tokenize(std::string_view source);

}  // namespace pegainfer::jinja

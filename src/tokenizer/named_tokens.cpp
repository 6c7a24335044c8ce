#include <string_view>

#include "base/utf8.h"
#include "pegainfer/tokenizer.h"
#include "tokenizer/unicode.h"

namespace pegainfer {
namespace {

constexpr uint32_t kSpaceMark = 0x2581;  // SentencePiece's space

// A mark like "<think>", "[INST]" or "<|user|>": a word and something around it. Words, runs of blanks or
// of line breaks, and punctuation can be tokens as well; they stand in the source by chance.
bool is_mark(std::string_view text) {
  if (!utf8::valid(text)) return false;
  bool word = false;
  bool other = false;
  for (size_t i = 0; i < text.size();) {
    const unicode::Char c = unicode::decode(text.data() + i);
    i += c.length;
    const uint16_t bits = unicode::ClassTable::get().of(c.code);
    if ((bits & unicode::kWord) != 0) {
      word = true;
    } else if ((bits & unicode::kSpace) == 0 && c.code != kSpaceMark) {
      other = true;
    }
  }
  return word && other;
}

}  // namespace

std::vector<TokenId> tokens_named_in(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> ids;
  for (const auto& [id, token] : tokenizer.plain_added_tokens()) {
    if (is_mark(token) && text.find(token) != std::string_view::npos) ids.push_back(id);
  }
  return ids;
}

}  // namespace pegainfer

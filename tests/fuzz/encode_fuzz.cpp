// Text to token ids: ids are in the vocabulary, ordinary text survives, and no special token comes of what is
// untrusted.
#include <algorithm>
#include <functional>

#include "base/utf8.h"
#include "fuzz.h"

namespace pegainfer {
namespace {

void check(const Tokenizer& tokenizer, std::string_view text, const std::vector<TextSpan>& untrusted) {
  const auto encode = [&](std::span<const TextSpan> spans) {
    return tokenizer.encode(text, {.add_special_tokens = false, .untrusted = spans, .control_tokens = {}});
  };
  const auto is_special = [&](TokenId id) { return tokenizer.is_special(id); };
  const auto num_specials = [&](const std::vector<TokenId>& ids) {
    return std::count_if(ids.begin(), ids.end(), is_special);
  };
  const std::vector<TokenId> trusted = encode({});
  for (const TokenId id : trusted) CHECK(id >= 0 && id < tokenizer.vocab_size());
  const std::vector<TextSpan> whole{{0, text.size()}};
  const std::vector<TokenId> ordinary = encode(whole);
  CHECK(num_specials(ordinary) == 0);
  const std::vector<TokenId> mixed = encode(untrusted);
  CHECK(num_specials(mixed) <= num_specials(trusted));
  if (num_specials(trusted) == 0) CHECK(ordinary == trusted && mixed == trusted, "spans change ids");
}

}  // namespace
}  // namespace pegainfer

// Input: the tokenizer, lengths of trusted and untrusted text by turns, then the text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer;
  fuzz::Input input(data, size);
  const auto& all = fuzz::tokenizers();
  const Tokenizer& tokenizer = *all[input.below(static_cast<uint8_t>(all.size()))];
  std::vector<uint8_t> lengths(2U * (1U + input.below(3)));
  for (uint8_t& length : lengths) length = input.below(32);
  const std::string_view text = input.rest();
  std::vector<TextSpan> untrusted;
  size_t at = 0;
  for (size_t i = 0; i + 1 < lengths.size(); i += 2) {
    const size_t begin = at + lengths[i];
    const size_t end = begin + lengths[i + 1];
    if (end > text.size()) break;
    untrusted.push_back({begin, end});
    at = end;
  }
  check(tokenizer, text, untrusted);
  return 0;
}

// tokenizer.json: it loads or says what is wrong; what loads can encode and decode anything.
#include "base/utf8.h"
#include "fuzz.h"
#include "tokenizer/tokenizer_loader.h"

// Input: the file, a NUL, and a text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer;
  fuzz::Input input(data, size);
  const auto loaded = load_tokenizer_json_text(input.until('\0'));
  if (!loaded) {
    fuzz::check_message(loaded.error().message);
    return 0;
  }
  const Tokenizer& tokenizer = **loaded;
  const std::string_view text = input.rest();
  const std::vector<TextSpan> spans{{text.size() / 3, text.size() / 2}};
  for (const bool guarded : {false, true}) {
    const std::vector<TokenId> ids = tokenizer.encode(
        text, {.add_special_tokens = true,
               .untrusted = guarded ? std::span<const TextSpan>(spans) : std::span<const TextSpan>(),
               .control_tokens = {}});
    const auto stream = tokenizer.stream(true);
    std::string pieces;
    for (const TokenId id : ids) {
      CHECK(id >= 0);
      pieces += stream->append(id);
      CHECK(utf8::valid(tokenizer.token_text(id)));
    }
    pieces += stream->finish();
    CHECK(pieces == tokenizer.decode(ids, true), "pieces {}", pieces);
    CHECK(utf8::valid(pieces));
  }
  return 0;
}

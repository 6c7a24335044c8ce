// Token ids to text: pieces are whole characters and add up; no stop string is ever shown.
#include <algorithm>

#include "base/utf8.h"
#include "engine/text_stream.h"
#include "fuzz.h"

namespace pegainfer {
namespace {

void check_stream(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, bool skip) {
  const auto stream = tokenizer.stream(skip);
  std::string text;
  const auto take = [&](const std::string& piece) {
    CHECK(utf8::valid(piece), "a broken piece");
    text += piece;
  };
  for (const TokenId id : ids) take(stream->append(id));
  take(stream->finish());
  CHECK(text == tokenizer.decode(ids, skip), "pieces {} against {}", text, tokenizer.decode(ids, skip));
}

// `pieces`: tokens of one event, by turns.
void check_stops(const Tokenizer& tokenizer, const std::vector<TokenId>& ids, const TextOptions& options,
                 const std::vector<size_t>& pieces) {
  TextStream stream(tokenizer, options, {});
  std::string text;
  size_t num_tokens = 0;
  std::optional<std::string> stopped;
  for (size_t i = 0, turn = 0; !stream.finished();) {
    TokenEvent event;
    for (size_t n = pieces[turn++ % pieces.size()]; n > 0 && i < ids.size(); --n) {
      event.tokens.push_back(ids[i++]);
    }
    if (i == ids.size()) event.finish = Finish{};
    const TextDelta delta = stream.push(std::move(event));
    CHECK(utf8::valid(delta.text));
    CHECK(delta.tokens.size() == delta.text_offsets.size());
    text += delta.text;
    num_tokens += delta.tokens.size();
    stopped = delta.stop_string;
  }
  const std::string whole = tokenizer.decode(ids, options.skip_special_tokens);
  size_t first = std::string::npos;  // where the earliest end of a stop string is
  for (const std::string& stop : options.stop) {
    if (const size_t at = whole.find(stop); at != std::string::npos)
      first = std::min(first, at + stop.size());
  }
  CHECK(stopped.has_value() == (first != std::string::npos), "stops in {}", whole);
  if (!stopped) {
    CHECK(text == whole && num_tokens == ids.size());
    return;
  }
  const std::string_view shown =
      options.include_stop_str_in_output ? std::string_view(text) : std::string_view(text += *stopped);
  CHECK(whole.starts_with(shown) && shown.size() == first, "{} of {}", shown, whole);
}

}  // namespace
}  // namespace pegainfer

// Input: choices, two stop strings, then ids of one byte, 0xFF before a special one.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer;
  fuzz::Input input(data, size);
  const auto& all = fuzz::tokenizers();
  const Tokenizer& tokenizer = *all[input.below(static_cast<uint8_t>(all.size()))];
  TextOptions options;
  options.skip_special_tokens = input.flag();
  options.include_stop_str_in_output = input.flag();
  const std::vector<size_t> pieces{1U + input.below(3), 1U + input.below(3)};
  for (int i = 0; i < 2; ++i) {
    const std::string_view stop = input.until('\0');
    if (!stop.empty() && utf8::valid(stop)) options.stop.emplace_back(stop);
  }
  std::vector<TokenId> ids;
  while (!input.empty()) {
    const uint8_t b = input.byte();
    ids.push_back(b == 0xFF ? tokenizer.vocab_size() - 1 - input.below(24) : b);
  }
  check_stream(tokenizer, ids, options.skip_special_tokens);
  check_stops(tokenizer, ids, options, pieces);
  return 0;
}

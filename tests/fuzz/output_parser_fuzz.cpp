// What a model says, cut into any pieces: the same reasoning, content and tool calls.
#include <map>

#include "base/utf8.h"
#include "chat/output_parser.h"
#include "fuzz.h"

namespace pegainfer::chat {
namespace {

struct Call {
  std::string id, name, arguments;
  // Where a format writes no id it may be made by chance.
  bool operator==(const Call& other) const {
    return id.empty() == other.id.empty() && name == other.name && arguments == other.arguments;
  }
};

struct Said {
  std::string reasoning, content;
  std::map<int, Call> calls;
  bool operator==(const Said&) const = default;

  void add(const OutputDelta& delta) {
    for (const std::string* text : {&delta.reasoning, &delta.content}) CHECK(utf8::valid(*text));
    reasoning += delta.reasoning;
    content += delta.content;
    for (const ToolCallDelta& piece : delta.tool_calls) {
      CHECK(piece.index >= 0 && piece.index <= static_cast<int>(calls.size()), "call {} after {}",
            piece.index, calls.size());
      const auto [it, is_first] = calls.try_emplace(piece.index);
      CHECK(is_first != piece.name.empty(), "a call's name comes with its first piece alone");
      Call& call = it->second;
      call.id += piece.id;
      call.name += piece.name;
      call.arguments += piece.arguments;
    }
  }
};

// `pieces`: characters of a piece, by turns; none: all at once.
Said parse(const OutputParserOptions& options, std::string_view text, const std::vector<size_t>& pieces) {
  const auto parser = make_output_parser(options);
  Said said;
  for (size_t turn = 0; !text.empty();) {
    size_t length = pieces.empty() ? text.size() : 0;
    for (size_t n = pieces.empty() ? 0 : pieces[turn++ % pieces.size()]; n > 0 && length < text.size(); --n) {
      length += utf8::next(text.substr(length)).length;
    }
    said.add(parser->push(text.substr(0, length)));
    text.remove_prefix(length);
  }
  said.add(parser->finish());
  return said;
}

}  // namespace
}  // namespace pegainfer::chat

// Input: the format, flags, lengths of pieces, then the text.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer::chat;
  pegainfer::fuzz::Input input(data, size);
  const auto& formats = tool_formats();
  OutputParserOptions options;
  const size_t format = input.below(static_cast<uint8_t>(formats.size() + 1));
  if (format < formats.size()) options.tool_format = formats[format].name;
  options.tool_names = {"f", "g", "get_weather"};
  const uint8_t flags = input.byte();
  if ((flags & 1U) != 0) options.reasoning = ReasoningFormat{.name = "think"};
  options.starts_in_reasoning = (flags & 2U) != 0 && options.reasoning;
  options.parallel_tool_calls = (flags & 4U) == 0;
  const uint8_t lengths = input.byte();
  const std::string text = pegainfer::utf8::sanitize(input.rest());
  const Said whole = parse(options, text, {});
  CHECK(whole == parse(options, text, {1}), "character by character");
  CHECK(whole == parse(options, text, {1U + (lengths & 15U), 1U + (lengths >> 4U)}), "in pieces");
  return 0;
}

// What splitting a model's output costs, by what is looked for and by the size of the pieces.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <string_view>

#include "chat/output_parser.h"

namespace {

using namespace pegainfer::chat;  // NOLINT(google-build-using-namespace)

double ns_per_byte(const OutputParserOptions& options, std::string_view text, size_t piece) {
  double best = std::numeric_limits<double>::infinity();
  for (int run = 0; run < 7; ++run) {
    const auto parser = make_output_parser(options);
    const auto begin = std::chrono::steady_clock::now();
    size_t bytes = 0;
    for (size_t i = 0; i < text.size(); i += piece)
      bytes += parser->push(text.substr(i, piece)).content.size();
    bytes += parser->finish().content.size();
    const std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - begin;
    if (bytes <= text.size()) best = std::min(best, time.count() / static_cast<double>(text.size()));
  }
  return best;
}

}  // namespace

int main() {
  std::string text;
  while (text.size() < (1U << 20U)) text += "The quick brown fox <b>jumps</b> over the lazy dog. ";
  const std::string call =
      "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"" + text + "\"}}</tool_call>";
  const OutputParserOptions none;
  const OutputParserOptions reasoning{.reasoning = ReasoningFormat{.name = "think"}};
  const OutputParserOptions hermes{.tool_format = "hermes", .tool_names = {"f"}};
  for (const size_t piece : {size_t{4}, size_t{16}, size_t{1024}}) {
    const auto print = [piece](std::string_view what, const OutputParserOptions& options,
                               std::string_view of) {
      const double ns = ns_per_byte(options, of, piece);
      fmt::print("{:<32} {:>5} bytes a piece {:>8.2f} ns/byte {:>8.1f} ns/piece\n", what, piece, ns,
                 ns * static_cast<double>(piece));
    };
    print("no tools", none, text);
    print("no tools, reasoning looked for", reasoning, text);
    print("hermes, text", hermes, text);
    print("hermes, arguments", hermes, call);
  }
  return 0;
}

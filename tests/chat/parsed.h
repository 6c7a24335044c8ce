// One message put together from the deltas of a parser.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "chat/output_parser.h"

namespace pegainfer::chat {

struct Call {
  std::string name, arguments, id;
  bool operator==(const Call&) const = default;
};

struct Parsed {
  std::string reasoning, content;
  std::vector<Call> calls;
  bool operator==(const Parsed&) const = default;

  // As a client puts it together: the first piece of a call has its name, further pieces only arguments.
  void add(const OutputDelta& delta) {
    reasoning += delta.reasoning;
    content += delta.content;
    for (const ToolCallDelta& piece : delta.tool_calls) {
      const auto index = static_cast<size_t>(piece.index);
      if (index == calls.size()) {
        EXPECT_FALSE(piece.name.empty());
        calls.push_back({piece.name, piece.arguments, piece.id});
      } else {
        ASSERT_EQ(index + 1, calls.size());
        EXPECT_TRUE(piece.name.empty() && piece.id.empty());
        EXPECT_FALSE(piece.arguments.empty());
        calls.back().arguments += piece.arguments;
      }
    }
  }
};

inline void PrintTo(const Parsed& parsed, std::ostream* out) {
  *out << "reasoning [" << parsed.reasoning << "] content [" << parsed.content << "]";
  for (const Call& call : parsed.calls)
    *out << " call " << call.name << '#' << call.id << ' ' << call.arguments;
}

inline Parsed parse_pieces(const OutputParserOptions& options, const std::vector<std::string_view>& pieces) {
  const auto parser = make_output_parser(options);
  Parsed parsed;
  for (const std::string_view piece : pieces) parsed.add(parser->push(piece));
  parsed.add(parser->finish());
  return parsed;
}

inline Parsed parse(const OutputParserOptions& options, std::string_view text) {
  return parse_pieces(options, {text});
}

}  // namespace pegainfer::chat

// Messages expected of each format, as tables.
#include <gmock/gmock.h>

#include "chat/parsed.h"

namespace pegainfer::chat {
namespace {

struct Case {
  std::string_view what;
  std::string_view text;
  Parsed expected;
};

OutputParserOptions with_tools(std::string_view format) {
  return {.tool_format = std::string(format), .tool_names = {"f", "get_weather", "g"}};
}

void check(const OutputParserOptions& options, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(parse(options, c.text), c.expected) << c.what << "\n" << c.text;
    std::vector<std::string_view> bytes;
    for (size_t i = 0; i < c.text.size(); ++i) bytes.push_back(c.text.substr(i, 1));
    EXPECT_EQ(parse_pieces(options, bytes), c.expected) << c.what << ", byte by byte\n" << c.text;
  }
}

TEST(Hermes, Messages) {
  check(with_tools("hermes"),
        {
            {"a call",
             "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": [1, {\"b\": \"}\"}]}}\n</tool_call>",
             {.calls = {{"f", "{\"a\": [1, {\"b\": \"}\"}]}"}}}},
            {"content before, blank lines between calls, nothing after",
             "Let me see.\n\n<tool_call>\n{\"name\": \"f\", \"arguments\": "
             "{}}\n</tool_call>\n<tool_call>\n{\"name\": "
             "\"g\", \"arguments\": {\"x\":1}}\n</tool_call>\n",
             {.content = "Let me see.\n\n", .calls = {{"f", "{}"}, {"g", "{\"x\":1}"}}}},
            {"whitespace in front of a call",
             "\n\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>",
             {.calls = {{"f", "{}"}}}},
            {"whitespace alone", "\n\n", {.content = "\n\n"}},
            {"content after",
             "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\nDone.",
             {.content = "\nDone.", .calls = {{"f", "{}"}}}},
            {"arguments first",
             "<tool_call>{\"arguments\": {\"a\":1}, \"name\": \"f\"}</tool_call>",
             {.calls = {{"f", "{\"a\":1}"}}}},
            {"arguments as a string",
             "<tool_call>{\"name\": \"f\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
             {.calls = {{"f", "{\"a\": 1}"}}}},
            {"no arguments, null, parameters, an id, other keys",
             "<tool_call>{\"name\": \"f\"}</tool_call><tool_call>{\"name\": \"f\", \"arguments\": "
             "null}</tool_call>"
             "<tool_call>{\"type\": \"function\", \"id\": \"c1\", \"name\": \"f\", \"parameters\": {}, "
             "\"n\": 5}"
             "</tool_call>",
             {.calls = {{"f", "{}"}, {"f", "{}"}, {"f", "{}", "c1"}}}},
            {"never closed",
             "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}",
             {.calls = {{"f", "{\"a\": 1}"}}}},
            {"the close cut short",
             "<tool_call>{\"name\": \"f\", \"arguments\": {}}\n</tool_",
             {.calls = {{"f", "{}"}}}},
            {"raw line break in a string",
             "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": \"x\ny\"}}</tool_call>",
             {.calls = {{"f", "{\"a\": \"x\\ny\"}"}}}},
            {"unknown tool",
             "<tool_call>\n{\"name\": \"zz\", \"arguments\": {}}\n</tool_call>\n",
             {.content = "<tool_call>\n{\"name\": \"zz\", \"arguments\": {}}\n</tool_call>\n"}},
            {"not JSON", "a<tool_call>oops</tool_call>", {.content = "a<tool_call>oops</tool_call>"}},
            {"cut before the arguments",
             "<tool_call>\n{\"name\": \"f\", \"argu",
             {.content = "<tool_call>\n{\"name\": \"f\", \"argu"}},
            {"cut in the arguments",
             "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"b",
             {.calls = {{"f", "{\"a\": \"b"}}}},
            {"broken in the arguments",
             "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": oops}}</tool_call>",
             {.content = "oops}}</tool_call>", .calls = {{"f", "{\"a\": "}}}},
            {"broken after the arguments",
             "<tool_call>{\"name\": \"f\", \"arguments\": {} oops}</tool_call>",
             {.content = " oops}</tool_call>", .calls = {{"f", "{}"}}}},
            {"a good call after a broken one",
             "<tool_call>oops</tool_call>\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>",
             {.content = "<tool_call>oops</tool_call>\n", .calls = {{"f", "{}"}}}},
            {"a mark that is none", "1 <tool 2 <tool_call", {.content = "1 <tool 2 <tool_call"}},
        });
}

TEST(Calls, OnlyTheFirstWithoutParallelCalls) {
  auto options = with_tools("hermes");
  options.parallel_tool_calls = false;
  const std::string call = "<tool_call>{\"name\":\"f\",\"arguments\":{\"a\":1}}</tool_call>";
  EXPECT_EQ(parse(options, call + "\n" + call + " end"),
            (Parsed{.content = " end", .calls = {{"f", "{\"a\":1}"}}}));
}

TEST(Calls, WithoutToolsTextIsVerbatim) {
  const std::string text = " \n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n ";
  EXPECT_EQ(parse({}, text), (Parsed{.content = text}));
  EXPECT_EQ(parse({.tool_format = "hermes"}, text), (Parsed{.content = text}));
  EXPECT_EQ(parse({.tool_format = "", .tool_names = {"f"}}, text), (Parsed{.content = text}));
}

TEST(Reasoning, Splits) {
  OutputParserOptions opened = with_tools("hermes");
  opened.reasoning = ReasoningFormat{"think"};
  check(
      opened,
      {
          {"opened by the model", "<think>\nhm\n</think>\n\nYes.", {.reasoning = "hm", .content = "Yes."}},
          {"after whitespace", "\n <think>hm</think>Yes.", {.reasoning = "hm", .content = "Yes."}},
          {"closed at once", "<think>\n\n</think>\n\nYes.", {.content = "Yes."}},
          {"never closed", "<think>\nhm\n", {.reasoning = "hm\n"}},
          {"none", "\nYes <think>no</think>", {.content = "\nYes <think>no</think>"}},
          {"closed only", "hm</think>Yes", {.content = "hm</think>Yes"}},
          {"a second block is content",
           "<think>a</think>b<think>c</think>",
           {.reasoning = "a", .content = "b<think>c</think>"}},
          {"half a mark", "<thi", {.content = "<thi"}},
          {"blank", "\n ", {.content = "\n "}},
          {"calls count only after it",
           "<think>\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n</"
           "think>\n\n<tool_call>{\"name\":"
           "\"g\",\"arguments\":{}}</tool_call>",
           {.reasoning = "<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", .calls = {{"g", "{}"}}}},
      });
  OutputParserOptions inside = opened;
  inside.starts_in_reasoning = true;
  check(inside, {
                    {"closed", "\nhm</think>\nYes.", {.reasoning = "hm", .content = "Yes."}},
                    {"opened again", "<think>\nhm</think>Yes.", {.reasoning = "hm", .content = "Yes."}},
                    {"closed early", "</think>Yes.", {.content = "Yes."}},
                    {"never closed", "hm </thin", {.reasoning = "hm </thin"}},
                    {"line breaks within stay",
                     "a\n\nb\n\n</think>\n\nc\n\nd\n",
                     {.reasoning = "a\n\nb", .content = "c\n\nd\n"}},
                });
}

TEST(Reasoning, SaysWhetherItIsInside) {
  OutputParserOptions options{.reasoning = ReasoningFormat{"think"}};
  auto parser = make_output_parser(options);
  EXPECT_FALSE(parser->in_reasoning());
  parser->push("<think>");
  parser->push("a");
  EXPECT_TRUE(parser->in_reasoning());
  EXPECT_EQ(parser->push("</think>b").content, "b");
  EXPECT_FALSE(parser->in_reasoning());
  options.starts_in_reasoning = true;
  EXPECT_TRUE(make_output_parser(options)->in_reasoning());
}

}  // namespace
}  // namespace pegainfer::chat

// Messages expected of each format, as tables.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "base/json.h"
#include "chat/parsed.h"
#include "chat/tool_schema.h"

namespace pegainfer::chat {
namespace {

struct Case {
  std::string_view what;
  std::string text;
  Parsed expected;
};

OutputParserOptions with_tools(std::string_view format) {
  return {.tool_format = std::string(format), .tool_names = {"f", "get_weather", "g"}};
}

void check(const OutputParserOptions& options, const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    EXPECT_EQ(parse(options, c.text), c.expected) << c.what << "\n" << c.text;
    std::vector<std::string_view> bytes;
    for (size_t i = 0; i < c.text.size(); ++i) bytes.push_back(std::string_view(c.text).substr(i, 1));
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

TEST(Qwen3Coder, Messages) {
  auto options = with_tools("qwen3_coder");
  options.parameter_types["f"] = {{"n", "integer"}, {"x", "number"}, {"b", "boolean"}, {"o", "object"},
                                  {"l", "array"},   {"s", "string"}, {"m", "string?"}};
  const auto call = [](std::string_view body) {
    return "<tool_call>\n<function=f>\n" + std::string(body) + "</function>\n</tool_call>";
  };
  const auto value = [&call](std::string_view key, std::string_view text) {
    return call("<parameter=" + std::string(key) + ">\n" + std::string(text) + "\n</parameter>\n");
  };
  const std::vector<std::pair<std::string, std::string>> calls = {
      {call(""), "{}"},
      {call("<parameter=s>\n a\n\"b\"\\\n\n</parameter>\n<parameter=n>\n5\n</parameter>\n"),
       "{\"s\": \" a\\n\\\"b\\\"\\\\\\n\", \"n\": 5}"},
      {call("<parameter=s>1</parameter>"), "{\"s\": \"1\"}"},
      {value("n", "-12"), "{\"n\": -12}"},
      {value("n", "1.5"), "{\"n\": \"1.5\"}"},
      {value("n", "null"), "{\"n\": null}"},
      {value("x", "1e3"), "{\"x\": 1e3}"},
      {value("b", "True"), "{\"b\": true}"},
      {value("b", "maybe"), "{\"b\": \"maybe\"}"},
      {value("o", "{\"a\": [1]}"), "{\"o\": {\"a\": [1]}}"},
      {value("o", "{'a': True, 'b': (1, None)}"), "{\"o\": {\"a\": true, \"b\": [1, null]}}"},
      {value("o", "{oops"), "{\"o\": \"{oops\"}"},
      {value("l", "\n[1,\n2]"), "{\"l\": [1,\n2]}"},
      {value("s", "null"), "{\"s\": \"null\"}"},
      {value("m", "None"), "{\"m\": null}"},
      {value("m", "x"), "{\"m\": \"x\"}"},
      {value("unknown", "5"), "{\"unknown\": \"5\"}"},
      {value("s", ""), "{\"s\": \"\"}"},
      {value("s", "a</parameter>b<parameter=n>"), "{\"s\": \"a</parameter>b<parameter=n>\"}"},
      {call("<parameter=s>\nno end\n"), "{\"s\": \"no end\"}"},
      {"<tool_call><function=f><parameter=s>a</parameter></tool_call>", "{\"s\": \"a\"}"},
      {"<function=f><parameter=s>a</parameter></function>", "{\"s\": \"a\"}"},
      {"<tool_call>\n<function=f>\n<parameter=s>\ncut\n", "{\"s\": \"cut\n"},
      {"<tool_call>\n<function=f>\n<parameter=n>\n12", "{\"n\": 12"},
  };
  for (const auto& [text, arguments] : calls) {
    std::string expected = arguments;
    if (expected.ends_with('\n')) expected.replace(expected.size() - 1, 1, "\\n");
    check(options, {{"a value", text, {.calls = {{"f", expected}}}}});
  }
  check(options,
        {
            {"text around",
             "Hm.\n" + call("") + "\n" + call("") + "\nDone.",
             {.content = "Hm.\n\nDone.", .calls = {{"f", "{}"}, {"f", "{}"}}}},
            {"unknown tool",
             "<tool_call>\n<function=zz>\n</function>\n</tool_call>",
             {.content = "<tool_call>\n<function=zz>\n</function>\n</tool_call>"}},
            {"no function", "<tool_call>\n{}</tool_call>", {.content = "<tool_call>\n{}</tool_call>"}},
            {"cut in a name", "<tool_call><function=f", {.content = "<tool_call><function=f"}},
            {"text between parameters",
             "<tool_call><function=f>\n<parameter=n>1</parameter>\n<parameter=x>2</parameter>oops",
             {.calls = {{"f", "{\"n\": 1, \"x\": 2</parameter>oops"}}}},
            {"a stray mark",
             "<function=f><parameter=n>1</parameter> <parameter=<b>",
             {.content = " <parameter=<b>", .calls = {{"f", "{\"n\": 1"}}}},
        });
}

TEST(Llama3Json, Messages) {
  check(with_tools("llama3_json"),
        {
            {"a call",
             "{\"name\": \"f\", \"parameters\": {\"a\": \"b\"}}",
             {.calls = {{"f", "{\"a\": \"b\"}"}}}},
            {"the tag, and several",
             "<|python_tag|>{\"type\": \"function\", \"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\", "
             "\"arguments\": {\"x\": 1}}",
             {.calls = {{"f", "{}"}, {"g", "{\"x\": 1}"}}}},
            {"an answer in JSON",
             "{\"name\": \"Ada\", \"born\": 1815}",
             {.content = "{\"name\": \"Ada\", \"born\": 1815}"}},
            {"another",
             "\n{\"result\": {\"name\": \"f\", \"parameters\": {}}}",
             {.content = "\n{\"result\": {\"name\": \"f\", \"parameters\": {}}}"}},
            {"a name alone", "{\"name\": \"f\"}", {.content = "{\"name\": \"f\"}"}},
            {"not at the start",
             "Here: {\"name\": \"f\", \"parameters\": {}}",
             {.content = "Here: {\"name\": \"f\", \"parameters\": {}}"}},
            {"code after the tag", "<|python_tag|>print(1)", {.content = "<|python_tag|>print(1)"}},
            {"text after",
             "{\"name\": \"f\", \"parameters\": {}}; and so on",
             {.content = "; and so on", .calls = {{"f", "{}"}}}},
            {"a separator at the end", "{\"name\": \"f\", \"parameters\": {}};\n", {.calls = {{"f", "{}"}}}},
            {"cut", "{\"name\": \"f\", \"param", {.content = "{\"name\": \"f\", \"param"}},
            {"half a tag", "<|python", {.content = "<|python"}},
        });
}

TEST(Pythonic, Messages) {
  check(with_tools("pythonic"),
        {
            {"calls", "[f(a=1, b='x'), g()]", {.calls = {{"f", "{\"a\": 1, \"b\": \"x\"}"}, {"g", "{}"}}}},
            {"marks and spaces",
             " <|python_start|>[ f ( a = 1 , ) , ]<|python_end|>\n",
             {.calls = {{"f", "{\"a\": 1}"}}}},
            {"values",
             "[f(a=[1, -2.5, .5, 1_000], b={'k': (True, None), \"l\": []}, c=\"\", d=false)]",
             {.calls = {{"f",
                         "{\"a\": [1, -2.5, 0.5, 1000], \"b\": {\"k\": [true, null], \"l\": []}, \"c\": "
                         "\"\", \"d\": "
                         "false}"}}}},
            {"strings",
             R"([f(a='it\'s "q" \n\x41\u00e9\U0001F600\d', b="""l1
"l2" """, c='')])",
             {.calls =
                  {{"f",
                    R"({"a": "it's \"q\" \n\u0041\u00e9\ud83d\ude00\\d", "b": "l1\n\"l2\" ", "c": ""})"}}}},
            {"a list that is none", "[1] says so", {.content = "[1] says so"}},
            {"unknown tool", "[zz(a=1)]", {.content = "[zz(a=1)]"}},
            {"a positional argument", "[f(1)]", {.content = "[f(1)]"}},
            {"text", "Sure: [f()]", {.content = "Sure: [f()]"}},
            {"a bad value", "[f(a=oops, b=1)]", {.content = "oops, b=1)]", .calls = {{"f", "{\"a\": "}}}},
            {"a bad second call", "[f(a=1), zz()]", {.content = ", zz()]", .calls = {{"f", "{\"a\": 1}"}}}},
            {"cut in a number", "[f(a=12", {.calls = {{"f", "{\"a\": 12"}}}},
            {"cut in a string", "[f(a='x", {.calls = {{"f", "{\"a\": \"x"}}}},
            {"cut between", "[f(a=1), ", {.calls = {{"f", "{\"a\": 1}"}}}},
            {"text after", "[f()] ok", {.content = " ok", .calls = {{"f", "{}"}}}},
        });
}

TEST(Mistral, Messages) {
  const auto options = with_tools("mistral");
  const auto check_mistral = [&options](std::string_view text, Parsed expected) {
    Parsed parsed = parse(options, text);
    std::set<std::string> ids;
    for (size_t i = 0; i < parsed.calls.size(); ++i) {
      EXPECT_THAT(parsed.calls[i].id, testing::MatchesRegex("[0-9A-Za-z]{9}"));
      EXPECT_TRUE(ids.insert(parsed.calls[i].id).second);
      if (i < expected.calls.size() && expected.calls[i].id.empty()) parsed.calls[i].id.clear();
    }
    EXPECT_EQ(parsed, expected) << text;
  };
  check_mistral(
      "[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"a\": \"]\"}}, {\"name\": \"g\", \"arguments\": {}}]",
      {.calls = {{"f", "{\"a\": \"]\"}"}, {"g", "{}"}}});
  check_mistral("[TOOL_CALLS][{\"id\": \"abcdEF123\", \"name\": \"f\", \"arguments\": {}}]",
                {.calls = {{"f", "{}", "abcdEF123"}}});
  check_mistral(
      "[TOOL_CALLS][{\"id\": \"short\", \"name\": \"f\", \"arguments\": {}, \"id\": \"abcdEF123\"}]",
      {.calls = {{"f", "{}"}}});
  check_mistral("Hm.[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]g[CALL_ID]abcdEF123[ARGS]{}",
                {.content = "Hm.", .calls = {{"f", "{\"a\": 1}"}, {"g", "{}", "abcdEF123"}}});
  check_mistral("[TOOL_CALLS]f{\"a\": 1}", {.calls = {{"f", "{\"a\": 1}"}}});
  check_mistral("[TOOL_CALLS]zz[ARGS]{}", {.content = "[TOOL_CALLS]zz[ARGS]{}"});
  check_mistral("[TOOL_CALLS] oops [TOOL_CALLS]f", {.content = "[TOOL_CALLS] oops [TOOL_CALLS]f"});
  check_mistral("[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {}}, oops]",
                {.content = ", oops]", .calls = {{"f", "{}"}}});
  check_mistral("[TOOL_CALLS]f[ARGS]{\"a\": oops}", {.content = "oops}", .calls = {{"f", "{\"a\": "}}});
}

TEST(DeepseekV3, Messages) {
  const std::string begin = "<｜tool▁calls▁begin｜>", end = "<｜tool▁calls▁end｜>",
                    call_end = "<｜tool▁call▁end｜>";
  const auto v3 = [&](std::string_view name, std::string_view arguments) {
    return "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" + std::string(name) + "\n```json\n" +
           std::string(arguments) + "\n```" + call_end;
  };
  const auto v31 = [&](std::string_view name, std::string_view arguments) {
    return "<｜tool▁call▁begin｜>" + std::string(name) + "<｜tool▁sep｜>" + std::string(arguments) + call_end;
  };
  check(with_tools("deepseek_v3"),
        {
            {"V3",
             "Hm." + begin + v3("f", "{\"a\": 1}") + "\n" + v3("g", "{}") + end,
             {.content = "Hm.", .calls = {{"f", "{\"a\": 1}"}, {"g", "{}"}}}},
            {"V3.1",
             begin + v31("f", "{\"a\": 1}") + v31("g", "{}") + end,
             {.calls = {{"f", "{\"a\": 1}"}, {"g", "{}"}}}},
            {"text after", begin + v31("f", "{}") + end + " ok", {.content = " ok", .calls = {{"f", "{}"}}}},
            {"no end", begin + v3("f", "{}"), {.calls = {{"f", "{}"}}}},
            {"unknown tool", begin + v3("zz", "{}") + end, {.content = begin + v3("zz", "{}") + end}},
            {"unknown tool, V3.1", begin + v31("zz", "{}") + end, {.content = begin + v31("zz", "{}") + end}},
            {"no call", begin + end, {.content = begin + end}},
            {"no separator",
             begin + "<｜tool▁call▁begin｜>f\n{}",
             {.content = begin + "<｜tool▁call▁begin｜>f\n{}"}},
            {"cut in the arguments",
             begin + "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a",
             {.calls = {{"f", "{\"a"}}}},
            {"broken in the arguments",
             begin + v31("f", "{\"a\": oops}"),
             {.content = "oops}" + call_end, .calls = {{"f", "{\"a\": "}}}},
        });
}

TEST(Json, Messages) {
  check(with_tools("json"),
        {
            {"an object", "{\"name\": \"f\", \"arguments\": {\"a\": 1}}", {.calls = {{"f", "{\"a\": 1}"}}}},
            {"an array",
             " [{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"g\", \"parameters\": {}}]\n",
             {.calls = {{"f", "{}"}, {"g", "{}"}}}},
            {"one after the other",
             "{\"name\":\"f\",\"arguments\":{}}\n{\"name\":\"g\",\"arguments\":{}}",
             {.calls = {{"f", "{}"}, {"g", "{}"}}}},
            {"a fence",
             "I look:\n```json\n{\"name\": \"f\", \"arguments\": {}}\n```\nDone.",
             {.content = "I look:\n\nDone.", .calls = {{"f", "{}"}}}},
            {"a bare fence at the start",
             "```\n[{\"name\": \"f\", \"arguments\": {}}]\n```",
             {.calls = {{"f", "{}"}}}},
            {"a fence cut short",
             "```json\n{\"name\": \"f\", \"arguments\": {}}\n``",
             {.calls = {{"f", "{}"}}}},
            {"code",
             "```python\nprint({})\n```\nand\n```json\n{\"a\": 1}\n```\n",
             {.content = "```python\nprint({})\n```\nand\n```json\n{\"a\": 1}\n```\n"}},
            {"an answer in JSON", "[{\"name\": \"Ada\"}, 2]", {.content = "[{\"name\": \"Ada\"}, 2]"}},
            {"inside a sentence",
             "so {\"name\": \"f\", \"arguments\": {}}",
             {.content = "so {\"name\": \"f\", \"arguments\": {}}"}},
            {"half a fence", "``", {.content = "``"}},
            {"an open fence", "```json\n", {.content = "```json\n"}},
        });
}

TEST(Formats, Table) {
  EXPECT_EQ(find_tool_format("nonesuch"), nullptr);
  for (const ToolFormat& format : tool_formats()) {
    EXPECT_EQ(find_tool_format(format.name), &format);
    // Every format has a parser: it finds a call that the text without tools keeps.
    const auto options = with_tools(format.name);
    const std::map<std::string, std::string> texts = {
        {"hermes", "<tool_call>{\"name\":\"f\"}</tool_call>"},
        {"qwen3_coder", "<function=f></function>"},
        {"llama3_json", "{\"name\":\"f\",\"parameters\":{}}"},
        {"pythonic", "[f()]"},
        {"mistral", "[TOOL_CALLS]f[ARGS]{}"},
        {"deepseek_v3", "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{}"},
        {"json", "{\"name\":\"f\",\"arguments\":{}}"},
    };
    EXPECT_EQ(parse(options, texts.at(format.name)).calls.size(), 1U) << format.name;
  }
}

TEST(Formats, ToldFromATemplate) {
  EXPECT_EQ(detect_tool_format("{{ '<tool_call>\\n' + call | tojson + '\\n</tool_call>' }}"), "hermes");
  EXPECT_EQ(detect_tool_format("<tool_call>\n<function=' + f + '>\n<parameter=' + k + '>' </tool_call>"),
            "qwen3_coder");
  EXPECT_EQ(detect_tool_format("{{ '[TOOL_CALLS]' + name }}"), "mistral");
  EXPECT_EQ(detect_tool_format("{{ '<｜tool▁call▁begin｜>' + name }}"), "deepseek_v3");
  EXPECT_EQ(detect_tool_format("{{ '<|python_start|>' }}"), "pythonic");
  EXPECT_EQ(detect_tool_format("{{ '<|python_tag|>' + name }}"), "llama3_json");
  EXPECT_EQ(detect_tool_format("<tool_call>{{ name }}<arg_key>{{ k }}</arg_key></tool_call>"), "");
  EXPECT_EQ(detect_tool_format("<seed:tool_call>\n<function=' + f + '>\n<parameter=' + k + '>'"), "");
  EXPECT_EQ(detect_tool_format("<tool_call></tool_call> XML tags: <tool_calls>[{{ call }}]</tool_calls>"),
            "");
  EXPECT_EQ(detect_tool_format("{{ '<tool_call>' }}<invoke name={{ f }}></invoke>{{ '</tool_call>' }}"), "");
  EXPECT_EQ(detect_tool_format("start with <function= .. {{ '<|python_tag|>' }}"), "");
  EXPECT_EQ(detect_tool_format("{% for m in messages %}{{ m.content }}{% endfor %}"), "");
  EXPECT_EQ(detect_reasoning_format("{{ '<think>\\n\\n</think>' }}")->close, "</think>");
  EXPECT_EQ(detect_reasoning_format("{{ '[THINK]' + t + '[/THINK]' }}")->open, "[THINK]");
  EXPECT_FALSE(detect_reasoning_format("{{ m.content }}"));
}

TEST(ToolSchema, ParameterTypes) {
  const auto tools = json::parse(R"([{"type": "function", "function": {"name": "f", "parameters": {
    "type": "object", "$defs": {"Point": {"type": "object"}}, "properties": {
      "n": {"type": "integer"}, "m": {"type": ["null", "string"]}, "a": {"anyOf": [{"type": "null"}, {"type": "array"}]},
      "r": {"$ref": "#/$defs/Point"}, "e": {"enum": ["x"]}, "o": {"properties": {}}, "l": {"$ref": "#/$defs/No"}}}}},
    {"type": "function", "function": {"name": "g"}}, 5])");
  ASSERT_TRUE(tools);
  EXPECT_EQ(tool_parameter_types(tools->get_array()), (ToolParameterTypes{{"f",
                                                                           {{"n", "integer"},
                                                                            {"m", "string?"},
                                                                            {"a", "array?"},
                                                                            {"r", "object"},
                                                                            {"e", "string"},
                                                                            {"o", "object"},
                                                                            {"l", "string"}}}}));
}

}  // namespace
}  // namespace pegainfer::chat

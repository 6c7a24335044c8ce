#include "chat/transcripts.h"

#include <random>

#include "base/json.h"
#include "chat/tool_schema.h"

namespace pegainfer::chat {
namespace {

const std::vector<std::string> kToolNames = {"get_weather", "f", "run-it", "a.b"};

ToolParameterTypes parameter_types() {
  const std::map<std::string, std::string> types = {{"s", "string"},  {"n", "integer"}, {"x", "number"},
                                                    {"b", "boolean"}, {"o", "object"},  {"l", "array"}};
  ToolParameterTypes all;
  for (const auto& name : kToolNames) all[name] = types;
  return all;
}

class Maker {
 public:
  explicit Maker(uint64_t seed) : random_(seed) {}

  Transcript well_formed(const std::string& format) {
    Transcript made;
    made.what = format;
    made.options = {.tool_format = format, .tool_names = kToolNames, .parameter_types = parameter_types()};
    Parsed expected;
    const bool only_calls = format == "llama3_json" || format == "pythonic";
    think(made, expected);
    const bool has_calls = upto(8) > 0;
    // Formats without marks begin with their calls; a text of theirs has none.
    if (!has_calls || (!only_calls && upto(2) > 0)) {
      expected.content = prose();
      made.text += expected.content;
    }
    if (has_calls) {
      std::vector<Call> calls;
      for (size_t i = 0, n = 1 + upto(3); i < n; ++i) calls.push_back({kToolNames[upto(4)], arguments(), ""});
      const bool in_prose = !expected.content.empty();
      made.text += write(format, calls, in_prose);
      if (upto(3) == 0) {
        const std::string after = (format == "json" && !in_prose ? " " : "\n") + prose();
        made.text += after;
        expected.content += after;
      } else if (upto(2) == 0) {
        made.text += "\n";
      }
      expected.calls = std::move(calls);
    }
    made.expected = std::move(expected);
    return made;
  }

  // One that went wrong somewhere.
  Transcript broken(const std::string& format) {
    Transcript made = well_formed(format);
    made.expected.reset();
    std::string& text = made.text;
    const size_t at = boundary(text);
    switch (upto(6)) {
      case 0:
        made.what += ", cut";
        text.resize(at);
        break;
      case 1:
        made.what += ", garbage";
        text.insert(at, pick({"Q", "\"", "}", "]", "\\", "<", ",", "\n", " ", "Z9", "é"}));
        break;
      case 2:
        made.what += ", a mark in between";
        text.insert(at, pick({"<tool_call>", "</tool_call>", "[TOOL_CALLS]", "</parameter>", "```", "<think>",
                              "</think>", "<function=f>", "<｜tool▁sep｜>"}));
        made.keeps_words = false;  // it may take the place of a value
        break;
      case 3: {
        made.what += ", a character missing";
        if (at < text.size()) text.erase(at, after(text, at) - at);
        break;
      }
      case 4: {
        made.what += ", a part twice";
        const size_t end = std::min(text.size(), at + 1 + upto(40));
        size_t last = at;
        while (last < end) last = after(text, last);
        text.insert(at, text.substr(at, last - at));
        made.keeps_words = false;
        break;
      }
      default: made.what += ", another tool"; made.options.tool_names = {"f"};
    }
    return made;
  }

 private:
  size_t upto(size_t n) { return static_cast<size_t>(random_() % n); }
  std::string pick(const std::vector<std::string>& from) { return from[upto(from.size())]; }
  std::string word() { return "w" + std::to_string(num_words_++) + "x"; }

  static size_t after(const std::string& text, size_t at) {
    do ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80);
    return at;
  }
  size_t boundary(const std::string& text) {
    size_t at = upto(text.size() + 1);
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
    return at;
  }

  std::string prose() {
    std::string text = word();
    for (size_t i = 0, n = upto(4); i < n; ++i) {
      text +=
          pick({" ", "\n", "\n\n", " < ", " <tool ", " [1] ", " é ", " `a` ", ", ", " {", "} ", " 日本 "}) +
          word();
    }
    return text;
  }

  void think(Transcript& made, Parsed& expected) {
    const size_t kind = upto(4);
    if (kind < 2) return;
    made.options.reasoning = ReasoningFormat{"think"};
    made.options.starts_in_reasoning = kind == 2;
    expected.reasoning = prose();
    made.text += (kind == 2 ? "" : "<think>") + pick({"", "\n"}) + expected.reasoning + pick({"", "\n"}) +
                 "</think>" + pick({"", "\n\n"});
  }

  json::Value string_value() {
    std::string text = word();
    text += pick({"", "", "\n", "\"", "\\", "\\n", "}", "]", "'", "\t", "é", "😀", " </tool_call> ", "<",
                  "[TOOL_CALLS]", "```", "</parameter> ", "日本", "{\"a\": "});
    return json::Value(text + (upto(2) == 0 ? word() : ""));
  }
  json::Value value(int depth) {
    switch (upto(depth > 2 ? 5 : 7)) {
      case 0: return json::Value(static_cast<int64_t>(upto(2000)) - 1000);
      case 1: return json::Value(static_cast<double>(upto(1000)) / 8 + 0.125);
      case 2: return json::Value(upto(2) == 0);
      case 3: return json::Value(nullptr);
      case 4: return string_value();
      case 5: {
        json::Array list;
        for (size_t i = 0, n = upto(3); i < n; ++i) list.push_back(value(depth + 1));
        return list;
      }
      default: return object(depth + 1);
    }
  }
  json::Object object(int depth) {
    json::Object made;
    for (size_t i = 0, n = upto(3); i < n; ++i) made[pick({"a", "b", "key_1"})] = value(depth);
    return made;
  }
  std::string arguments() {
    json::Object made;
    if (upto(2) == 0) made["s"] = string_value();
    if (upto(3) == 0) made["n"] = static_cast<int64_t>(upto(100));
    if (upto(3) == 0) made["x"] = static_cast<double>(upto(100)) + 0.5;
    if (upto(3) == 0) made["b"] = upto(2) == 0;
    if (upto(3) == 0) made["o"] = object(1);
    if (upto(3) == 0) made["l"] = json::Array{value(1), value(1)};
    if (upto(3) == 0) made["t"] = string_value();
    return json::dump(made);
  }

  std::string as_json(const Call& call, std::string_view key) {
    if (upto(6) == 0)
      return "{\"" + std::string(key) + "\": " + call.arguments + ", \"name\": \"" + call.name + "\"}";
    return "{\"name\": \"" + call.name + "\", \"" + std::string(key) + "\": " + call.arguments + "}";
  }
  std::string as_list(const std::vector<Call>& calls) {
    std::string text;
    for (const Call& call : calls) text += (text.empty() ? "[" : ", ") + as_json(call, "arguments");
    return text + "]";
  }

  std::string as_parameters(const Call& call) {
    const auto object = json::parse(call.arguments);
    std::string text;
    for (const auto& [key, value] : object->get_object()) {
      const std::string bare = value.is_string() ? std::string(value.get_string()) : json::dump(value);
      text += "<parameter=" + std::string(key) + ">\n" + bare + "\n</parameter>\n";
    }
    return text;
  }

  std::string as_python(const json::Value& value) {
    if (value.is_bool()) return value.get_bool() ? "True" : "False";
    if (value.is_null()) return "None";
    std::string text;
    if (value.is_string()) {
      const char quote = upto(2) == 0 ? '"' : '\'';
      text += quote;
      for (const char c : std::string_view(value.get_string())) {
        if (c == quote || c == '\\') text += '\\';
        text += c == '\n' ? "\\n" : std::string(1, c);
      }
      return text + quote;
    }
    if (value.is_array()) {
      for (const auto& item : value.get_array()) text += (text.empty() ? "" : ", ") + as_python(item);
      return "[" + text + "]";
    }
    if (value.is_object()) {
      for (const auto& [key, item] : value.get_object()) {
        text += (text.empty() ? "'" : ", '") + std::string(key) + "': " + as_python(item);
      }
      return "{" + text + "}";
    }
    return json::dump(value);
  }
  std::string as_python(const Call& call) {
    const auto object = json::parse(call.arguments);
    std::string text;
    for (const auto& [key, value] : object->get_object()) {
      text += (text.empty() ? "" : ", ") + std::string(key) + "=" + as_python(value);
    }
    return call.name + "(" + text + ")";
  }

  std::string write(const std::string& format, const std::vector<Call>& calls, bool in_prose) {
    std::string text;
    if (format == "hermes") {
      for (const Call& call : calls)
        text += "\n<tool_call>\n" + as_json(call, "arguments") + "\n</tool_call>";
      return in_prose ? text.substr(1) : text;
    }
    if (format == "qwen3_coder") {
      for (const Call& call : calls) {
        text +=
            "<tool_call>\n<function=" + call.name + ">\n" + as_parameters(call) + "</function>\n</tool_call>";
      }
      return text;
    }
    if (format == "llama3_json") {
      for (const Call& call : calls)
        text += (text.empty() ? pick({"", "<|python_tag|>"}) : "; ") + as_json(call, "parameters");
      return text;
    }
    if (format == "pythonic") {
      for (const Call& call : calls) text += (text.empty() ? "[" : ", ") + as_python(call);
      return upto(2) == 0 ? text + "]" : "<|python_start|>" + text + "]<|python_end|>";
    }
    if (format == "mistral") {
      if (upto(2) == 0) return "[TOOL_CALLS] " + as_list(calls);
      for (const Call& call : calls)
        text += "[TOOL_CALLS]" + call.name + pick({"[ARGS]", "[CALL_ID]aB3dE6gH9[ARGS]"}) + call.arguments;
      return text;
    }
    if (format == "json") {
      if (in_prose || upto(2) == 0) return "```json\n" + as_list(calls) + "\n```";
      return as_list(calls);
    }
    const bool newer = upto(2) == 0;
    for (const Call& call : calls) {
      text += "<｜tool▁call▁begin｜>" + (newer ? call.name : "function") + "<｜tool▁sep｜>" +
              (newer ? call.arguments : call.name + "\n```json\n" + call.arguments + "\n```") +
              "<｜tool▁call▁end｜>";
    }
    return "<｜tool▁calls▁begin｜>" + text + "<｜tool▁calls▁end｜>";
  }

  std::mt19937_64 random_;
  int num_words_ = 0;
};

}  // namespace

std::vector<Transcript> make_transcripts(uint64_t seed, int num_per_format) {
  Maker maker(seed);
  std::vector<Transcript> made;
  for (const ToolFormat& format : tool_formats()) {
    for (int i = 0; i < num_per_format; ++i) {
      made.push_back(maker.well_formed(format.name));
      made.push_back(maker.broken(format.name));
    }
  }
  return made;
}

}  // namespace pegainfer::chat

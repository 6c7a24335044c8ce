// The table of formats, and how a template's own text tells which one its model writes. The marks are those
// the templates print in their instructions and around the calls of earlier turns.
#include <algorithm>
#include <array>
#include <initializer_list>

#include "chat/output_parser.h"

namespace pegainfer::chat {
namespace {

struct Fingerprint {
  std::string_view format;
  std::initializer_list<std::string_view> all_of;
  std::initializer_list<std::string_view> none_of = {};
};

// The first that fits. The more particular formats come first: others share their marks.
const Fingerprint kFingerprints[] = {
    {"qwen3_coder", {"<function=", "<parameter="}, {"<seed:tool_call>"}},
    {"deepseek_v3", {"<｜tool▁call▁begin｜>"}},
    {"mistral", {"[TOOL_CALLS]"}},
    // GLM and others write something else between the same tags.
    {"hermes", {"<tool_call>", "</tool_call>"}, {"<arg_key>", "<arg_value>", "<invoke", "<tool_calls>"}},
    {"pythonic", {"<|python_start|>"}},
    {"pythonic", {"[func_name1(params_name1=params_value1"}},
    {"llama3_json", {"<|python_tag|>"}, {"<function="}},
    {"llama3_json", {"\"parameters\": dictionary of argument name and its value"}},
};

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace

const std::vector<ToolFormat>& tool_formats() {
  static const std::vector<ToolFormat> formats = {
      {"hermes", {"<tool_call>", "</tool_call>"}},
      {"qwen3_coder", {"<tool_call>", "</tool_call>"}},
      {"llama3_json", {"<|python_tag|>"}},
      {"pythonic", {"<|python_start|>", "<|python_end|>"}},
      {"mistral", {"[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"}},
      {"deepseek_v3",
       {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>",
        "<｜tool▁sep｜>"}},
      {"json", {}},
  };
  return formats;
}

const ToolFormat* find_tool_format(std::string_view name) {
  const auto& formats = tool_formats();
  const auto found = std::find_if(formats.begin(), formats.end(),
                                  [name](const auto& format) { return format.name == name; });
  return found == formats.end() ? nullptr : &*found;
}

std::string detect_tool_format(std::string_view source) {
  for (const Fingerprint& print : kFingerprints) {
    const auto in_source = [source](std::string_view part) { return has(source, part); };
    if (std::all_of(print.all_of.begin(), print.all_of.end(), in_source) &&
        std::none_of(print.none_of.begin(), print.none_of.end(), in_source)) {
      return std::string(print.format);
    }
  }
  return "";
}

std::optional<ReasoningFormat> detect_reasoning_format(std::string_view source) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kMarks = {
      {{"<think>", "</think>"}, {"[THINK]", "[/THINK]"}, {"<seed:think>", "</seed:think>"}}};
  for (const auto& [open, close] : kMarks) {
    if (has(source, close)) return ReasoningFormat{"think", std::string(open), std::string(close)};
  }
  return std::nullopt;
}

}  // namespace pegainfer::chat

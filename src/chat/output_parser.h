// What a model says in a chat, split as it comes: reasoning, content and tool calls. The deltas of any
// cutting of a text into pieces concatenate to the same message.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/result.h"

namespace pegainfer::chat {

// A piece of the tool call `index`. The first piece of a call carries its name (and an id where the format
// writes one); pieces of arguments concatenate to one JSON text.
struct ToolCallDelta {
  int index = 0;
  std::string id;         // "": the format has none and the server makes one
  std::string name;       // only on the first piece
  std::string arguments;  // JSON text, verbatim where the format is JSON
  friend bool operator==(const ToolCallDelta&, const ToolCallDelta&) = default;
};

struct OutputDelta {
  std::string reasoning;
  std::string content;
  std::vector<ToolCallDelta> tool_calls;
  [[nodiscard]] bool empty() const { return reasoning.empty() && content.empty() && tool_calls.empty(); }
};

// One choice's output. Text is whole UTF-8 characters, stop strings taken out.
class OutputParser {
 public:
  virtual ~OutputParser() = default;
  virtual OutputDelta push(std::string_view text) = 0;
  // The rest, once no more text comes: what was held back as the possible beginning of something. A call that
  // was never completed is content, unless its name was already given away.
  virtual OutputDelta finish() = 0;
  [[nodiscard]] virtual bool in_reasoning() const = 0;
};

// Tool -> parameter -> its type in the tool's schema ("integer", ..; "string?" where null is allowed too),
// from tool_parameter_types() (tool_schema.h).
using ToolParameterTypes = std::map<std::string, std::map<std::string, std::string>>;

// How the tool calls of a format are written.
struct ToolFormat {
  std::string name;  // "hermes", "qwen3_coder", "llama3_json", "pythonic", "mistral", "deepseek_v3", "json"
  // Special tokens that are part of the format: their text must reach the parser although special tokens are
  // skipped elsewhere.
  std::vector<std::string> special_tokens;
};

struct ReasoningFormat {
  std::string name;  // "think"
  std::string open = "<think>";
  std::string close = "</think>";
};

struct OutputParserOptions {
  std::string tool_format;              // "": text is never a tool call
  std::vector<std::string> tool_names;  // of the request; calls of others are content
  // For qwen3_coder, which writes every value as bare text: what is not here is a string.
  ToolParameterTypes parameter_types;
  std::optional<ReasoningFormat> reasoning;  // empty: no reasoning is split off
  bool starts_in_reasoning = false;          // the prompt ends with the opening mark
  bool parallel_tool_calls = true;           // false: only the first call is kept
};

std::unique_ptr<OutputParser> make_output_parser(const OutputParserOptions& options);

const std::vector<ToolFormat>& tool_formats();
// nullptr: no such format.
const ToolFormat* find_tool_format(std::string_view name);
// The formats that a template's own text says its model writes. Empty where it says nothing.
std::string detect_tool_format(std::string_view template_source);
std::optional<ReasoningFormat> detect_reasoning_format(std::string_view template_source);

}  // namespace pegainfer::chat

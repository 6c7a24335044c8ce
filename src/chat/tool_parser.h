// What the parsers of the formats share: the text that is not decided yet, and the steps over it. A step
// takes something from the front of rest(), or waits for more. It decides only what no further text could
// change: then the result is the same however the text was cut.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "chat/json_calls.h"
#include "chat/json_scanner.h"
#include "chat/message_sink.h"
#include "chat/output_parser.h"
#include "chat/text_match.h"

namespace pegainfer::chat {

class ToolParser {
 public:
  ToolParser(const OutputParserOptions& options, MessageSink& sink) : options_(options), sink_(sink) {}
  virtual ~ToolParser() = default;
  ToolParser(const ToolParser&) = delete;
  ToolParser& operator=(const ToolParser&) = delete;

  void push(std::string_view text);
  void finish();

 protected:
  // Only called with text at hand. False: it waits for more.
  virtual bool step() = 0;
  // No more text comes: what is held is resolved. The rest of the text is content afterwards.
  virtual void end() = 0;

  [[nodiscard]] std::string_view rest() const { return std::string_view(buffer_).substr(position_); }
  [[nodiscard]] bool final() const { return final_; }
  void take(size_t size) { position_ += size; }
  void hold(size_t size);
  // Moves whitespace to what is held; false when no text is left then.
  bool hold_space();
  [[nodiscard]] Match at(std::string_view mark) const { return match(rest(), mark, final_); }
  // At `mark`: it is held. What a step that expects a mark is made of.
  Match hold_mark(std::string_view mark);

  // Text before the first mark is content, the mark is held. -1: it is not there yet.
  int content_until(std::span<const std::string_view> marks);

  // The calls go on; where they break, what is held is content.
  ScanStatus feed(JsonCalls& calls);
  // The text ends within them.
  void resolve(const JsonCalls& calls);

  // The arguments' object of the call that began last goes on; begin_arguments() before.
  void begin_arguments() { scanner_.reset(); }
  ScanStatus stream_arguments();

  [[nodiscard]] bool is_tool(std::string_view name) const;
  [[nodiscard]] const OutputParserOptions& options() const { return options_; }
  [[nodiscard]] MessageSink& sink() const { return sink_; }

 private:
  const OutputParserOptions& options_;
  MessageSink& sink_;
  std::string buffer_;
  size_t position_ = 0;
  bool final_ = false;
  JsonScanner scanner_;
};

// Longest name of a tool or of a parameter that is looked for: beyond it a mark was just text.
inline constexpr size_t kMaxNameBytes = 256;
[[nodiscard]] bool is_name_byte(char c);  // [0-9A-Za-z_.-]

std::unique_ptr<ToolParser> make_hermes_parser(const OutputParserOptions& options, MessageSink& sink);
std::unique_ptr<ToolParser> make_qwen3_coder_parser(const OutputParserOptions& options, MessageSink& sink);
std::unique_ptr<ToolParser> make_llama3_json_parser(const OutputParserOptions& options, MessageSink& sink);
std::unique_ptr<ToolParser> make_pythonic_parser(const OutputParserOptions& options, MessageSink& sink);
std::unique_ptr<ToolParser> make_mistral_parser(const OutputParserOptions& options, MessageSink& sink);
std::unique_ptr<ToolParser> make_deepseek_v3_parser(const OutputParserOptions& options, MessageSink& sink);
std::unique_ptr<ToolParser> make_json_parser(const OutputParserOptions& options, MessageSink& sink);

}  // namespace pegainfer::chat

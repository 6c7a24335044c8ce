// What the parsers of an output give away, and what they hold back because it may yet be part of a tool call.
// The rules on whitespace around calls live here, so that they are the same for every format.
#pragma once

#include <string>
#include <string_view>

#include "chat/output_parser.h"

namespace pegainfer::chat {

inline constexpr std::string_view kWhitespace = " \t\r\n";
[[nodiscard]] inline bool is_space(char c) { return kWhitespace.find(c) != std::string_view::npos; }

class MessageSink {
 public:
  enum class Ids { kOfTheText, kNineAlphanumerics };  // the latter: made here where the text has no valid one
  MessageSink(bool parallel_tool_calls, Ids ids) : parallel_(parallel_tool_calls), ids_(ids) {}

  void reasoning(std::string_view text) { delta_.reasoning += text; }
  // Content as it is, with no rule applied: for outputs without tools.
  void verbatim(std::string_view text) { delta_.content += text; }

  // Content, after what is held. Whitespace alone is held until something else follows: beside a call it is
  // not content.
  void text(std::string_view text);
  // May turn out to be content or a part of a call that is not content.
  void hold(std::string_view text) { held_ += text; }
  void release();  // it is content
  void drop() { held_.clear(); }

  // What is held was the head of this call. `id` may be empty.
  void begin_call(std::string name, std::string id);
  void arguments(std::string_view json);  // of the call that began last

  // No more text comes.
  void finish();
  // What was given away since the last time.
  OutputDelta take();

 private:
  OutputDelta delta_;
  std::string held_;
  int num_calls_ = 0;
  bool blank_ = true;  // only whitespace since the start or the last call
  bool muted_ = false;
  const bool parallel_;
  const Ids ids_;
};

// Nine characters of [0-9A-Za-z], as Mistral's templates demand; different from call to call.
std::string make_mistral_id();

}  // namespace pegainfer::chat

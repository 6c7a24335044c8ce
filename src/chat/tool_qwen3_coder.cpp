// qwen3_coder (Qwen3-Coder, Qwen3.5):
// <tool_call>\n<function=name>\n<parameter=k>\nv\n</parameter>\n</function>\n
// </tool_call>, repeated; <tool_call> may be missing. Values are bare text, typed by the tool's schema.
#include <algorithm>
#include <array>

#include "base/json.h"
#include "chat/python_value.h"
#include "chat/tool_parser.h"
#include "chat/tool_schema.h"

namespace pegainfer::chat {
namespace {

constexpr std::string_view kCallMark = "<tool_call>";
constexpr std::string_view kCallEnd = "</tool_call>";
constexpr std::string_view kFunctionMark = "<function=";
constexpr std::string_view kFunctionEnd = "</function>";
constexpr std::string_view kParameterMark = "<parameter=";
constexpr std::string_view kParameterEnd = "</parameter>";
constexpr std::array<std::string_view, 2> kOpenMarks = {kCallMark, kFunctionMark};

// The most whitespace between the marks that end a value.
constexpr size_t kMaxSpace = 64;

class Qwen3CoderParser final : public ToolParser {
 public:
  using ToolParser::ToolParser;

 protected:
  bool step() override {
    switch (state_) {
      case State::kText: {
        const int mark = content_until(kOpenMarks);
        return mark >= 0 && to(mark == 0 ? State::kFunction : State::kName);
      }
      case State::kFunction: return step_mark(kFunctionMark, State::kName);
      case State::kName:
        if (const int found = take_name(name_); found <= 0) return found < 0;
        num_parameters_ = 0;
        return is_tool(name_) ? to(State::kBody) : give_up();
      case State::kBody: return step_body();
      case State::kKey:
        if (const int found = take_name(key_); found <= 0) return found < 0;
        begin_parameter();
        return to(State::kValueBegin);
      case State::kValueBegin:
        if (rest().front() == '\n') take(1);
        return to(State::kValue);
      case State::kValue: return step_value();
      case State::kEnd: return step_end();
    }
    return false;
  }

  void end() override {
    if (state_ == State::kValueBegin || state_ == State::kValue)
      sink().arguments(value_);  // what there is of it
    if (state_ == State::kEnd) sink().drop();
  }

 private:
  enum class State { kText, kFunction, kName, kBody, kKey, kValueBegin, kValue, kEnd };

  bool to(State state) {
    state_ = state;
    return true;
  }
  bool give_up() {
    sink().release();
    return to(State::kText);
  }
  bool step_mark(std::string_view mark, State next) {
    if (!hold_space()) return false;
    const Match found = hold_mark(mark);
    if (found == Match::kNo) return give_up();
    return found == Match::kYes && to(next);
  }

  // Up to '>'. 1: there it is, 0: more text is needed, -1: it was none, and the parser is in the text again.
  int take_name(std::string& name) {
    const std::string_view head = rest().substr(0, kMaxNameBytes + 1);
    const size_t end = head.find_first_of(">\n<");
    if (end == std::string_view::npos && head.size() <= kMaxNameBytes) return 0;
    if (end == std::string_view::npos || head[end] != '>' || end == 0) {
      give_up();
      return -1;
    }
    name = head.substr(0, end);
    hold(end + 1);
    return 1;
  }

  bool step_body() {
    if (!hold_space()) return false;
    const Match parameter = hold_mark(kParameterMark);
    if (parameter == Match::kYes) return to(State::kKey);
    const Match closed = at(kFunctionEnd);
    const Match call_closed = num_parameters_ > 0 ? at(kCallEnd) : Match::kNo;  // </function> is missing
    if (std::max({parameter, closed, call_closed}) == Match::kPartly) return false;
    if (closed == Match::kNo && call_closed == Match::kNo) return give_up();
    if (closed == Match::kYes) take(kFunctionEnd.size());
    if (num_parameters_ == 0) {
      sink().begin_call(name_, "");
      sink().arguments("{}");
    } else {
      sink().drop();
      sink().arguments("}");
    }
    return to(State::kEnd);
  }

  void begin_parameter() {
    if (num_parameters_++ == 0) {
      sink().begin_call(name_, "");
      sink().arguments("{");
    } else {
      sink().drop();
      sink().arguments(", ");
    }
    sink().arguments(json::quote(key_) + ": ");
    const auto tool = options().parameter_types.find(name_);
    type_.clear();
    if (tool != options().parameter_types.end()) {
      const auto type = tool->second.find(key_);
      if (type != tool->second.end()) type_ = type->second;
    }
    value_.clear();
    if (is_plain_string(type_)) sink().arguments("\"");
  }

  void add_value(std::string_view text) {
    if (!is_plain_string(type_)) {
      value_ += text;
      return;
    }
    std::string escaped;
    for (const char c : text) append_json_byte(escaped, c);
    sink().arguments(escaped);
  }

  // Does a value end at the front of `text`? A mark alone may be part of it: one that a next mark follows is
  // not.
  [[nodiscard]] Match value_end(std::string_view text) const {
    const Match own = match(text, kParameterEnd, final());
    if (own == Match::kYes) {
      return followed_by(text.substr(kParameterEnd.size()), {kParameterMark, kFunctionEnd, kCallEnd});
    }
    const Match function = match(text, kFunctionEnd, final());  // the value's own mark is missing
    if (function == Match::kYes) return followed_by(text.substr(kFunctionEnd.size()), {kCallEnd});
    return own == Match::kPartly || function == Match::kPartly ? Match::kPartly : Match::kNo;
  }
  [[nodiscard]] Match followed_by(std::string_view text,
                                  std::initializer_list<std::string_view> marks) const {
    const size_t space = std::min(text.find_first_not_of(kWhitespace), text.size());
    if (space > kMaxSpace) return Match::kNo;
    if (space == text.size()) return final() ? Match::kYes : Match::kPartly;
    Match best = Match::kNo;
    for (const std::string_view mark : marks) {
      best = std::max(best, match(text.substr(space), mark, final()));
    }
    return best;
  }

  bool step_value() {
    const std::string_view text = rest();
    size_t end = text.find('<');
    Match found = Match::kNo;
    while (end != std::string_view::npos && (found = value_end(text.substr(end))) == Match::kNo) {
      end = text.find('<', end + 1);
    }
    end = std::min(end, text.size());
    // One line break before the mark is not of the value.
    const bool held_break = end > 0 && text[end - 1] == '\n' && !(final() && found == Match::kNo);
    const size_t size = held_break ? end - 1 : end;
    add_value(text.substr(0, size));
    if (found != Match::kYes) {
      take(size);
      return false;
    }
    take(text.substr(end).starts_with(kParameterEnd) ? end + kParameterEnd.size() : end);
    sink().arguments(is_plain_string(type_) ? "\"" : parameter_json(value_, type_));
    return to(State::kBody);
  }

  bool step_end() {
    if (!hold_space()) return false;
    if (final() && kCallEnd.starts_with(rest())) take(rest().size());
    switch (at(kCallEnd)) {
      case Match::kPartly: return false;
      case Match::kYes:
        take(kCallEnd.size());
        sink().drop();
        break;
      case Match::kNo: break;
    }
    return to(State::kText);
  }

  State state_ = State::kText;
  std::string name_, key_, type_;
  std::string value_;  // of a parameter that is no plain string, so far
  int num_parameters_ = 0;
};

}  // namespace

std::unique_ptr<ToolParser> make_qwen3_coder_parser(const OutputParserOptions& options, MessageSink& sink) {
  return std::make_unique<Qwen3CoderParser>(options, sink);
}

}  // namespace pegainfer::chat

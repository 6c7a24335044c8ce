// pythonic (Llama 3.2 and 4, ToolACE): the answer is a list of calls, [f(a=1), g(b="x")], with
// <|python_start|> and <|python_end|> around it or not. Text that begins in another way has no calls.
#include <algorithm>

#include "base/json.h"
#include "chat/python_value.h"
#include "chat/tool_parser.h"

namespace pegainfer::chat {
namespace {

constexpr std::string_view kStartMark = "<|python_start|>";
constexpr std::string_view kEndMark = "<|python_end|>";

class PythonicParser final : public ToolParser {
 public:
  using ToolParser::ToolParser;

 protected:
  bool step() override {
    switch (state_) {
      case State::kContent:
        sink().text(rest());
        take(rest().size());
        return false;
      case State::kName: return step_name();
      case State::kKeyword: return step_keyword();
      case State::kValue: return step_value();
      default: break;
    }
    if (!hold_space()) return false;
    const char c = rest().front();
    switch (state_) {
      case State::kStart:
        if (c == '[') return hold_to(State::kFirstCall);
        return step_mark(kStartMark, State::kStart);
      case State::kFirstCall: return begin_name(c);
      case State::kOpen: return c == '(' ? hold_to(State::kFirstKeyword) : give_up();
      case State::kFirstKeyword:
        if (c == ')') return end_call();
        return begin_keyword(c);
      case State::kNextKeyword: return c == ')' ? end_call() : begin_keyword(c);
      case State::kEquals: return step_equals(c);
      case State::kAfterValue:
        if (c == ')') return end_call();
        return c == ',' ? hold_to(State::kNextKeyword) : give_up();
      case State::kAfterCall:
        if (c == ',') return hold_to(State::kNextCall);
        return c == ']' ? close() : give_up();
      case State::kNextCall: return c == ']' ? close() : begin_name(c);
      default: return step_mark(kEndMark, State::kContent);  // kEnd
    }
  }

  void end() override {
    if (state_ == State::kValue) {
      sink().arguments(value_.pending());
    } else if (state_ > State::kAfterFirst) {
      sink().drop();
    } else if (state_ != State::kContent) {
      sink().release();
    }
  }

 private:
  enum class State {
    kContent,
    kStart,
    kFirstCall,
    kName,
    kOpen,
    kFirstKeyword,
    kKeyword,
    kEquals,
    kValue,
    kAfterFirst,  // below: what is held at the end of the text is structure of calls that began
    kNextKeyword,
    kAfterValue,
    kAfterCall,
    kNextCall,
    kEnd
  };

  bool to(State state) {
    state_ = state;
    return true;
  }
  bool hold_to(State state) {
    hold(1);
    return to(state);
  }
  bool give_up() {
    sink().release();
    return to(State::kContent);
  }
  bool begin_name(char c) {
    name_.clear();
    num_arguments_ = 0;
    return is_name_byte(c) ? to(State::kName) : give_up();
  }
  bool begin_keyword(char c) {
    keyword_.clear();
    return is_name_byte(c) ? to(State::kKeyword) : give_up();
  }
  bool close() {
    take(1);
    sink().drop();
    return to(State::kEnd);
  }

  // An optional mark: the state that follows it, or content.
  bool step_mark(std::string_view mark, State next) {
    switch (at(mark)) {
      case Match::kPartly: return false;
      case Match::kNo: return to(State::kContent);
      case Match::kYes: break;
    }
    hold(mark.size());
    if (state_ == State::kEnd) sink().drop();
    return to(next);
  }

  // Moves name bytes to `word`; false when no text is left then.
  bool take_word(std::string& word) {
    const auto text = rest();
    const auto size =
        static_cast<size_t>(std::find_if_not(text.begin(), text.end(), is_name_byte) - text.begin());
    word += text.substr(0, size);
    hold(size);
    return !rest().empty();
  }
  bool step_name() {
    if (!take_word(name_)) return false;
    return is_tool(name_) ? to(State::kOpen) : give_up();
  }
  bool step_keyword() { return take_word(keyword_) && to(State::kEquals); }

  bool step_equals(char c) {
    if (c != '=') return give_up();
    take(1);
    if (num_arguments_++ == 0) {
      sink().begin_call(name_, "");
      sink().arguments("{");
    } else {
      sink().drop();
      sink().arguments(", ");
    }
    sink().arguments(json::quote(keyword_) + ": ");
    value_.reset();
    return to(State::kValue);
  }

  bool step_value() {
    std::string piece;
    const Scanned scanned = value_.scan(rest(), piece);
    sink().arguments(piece);
    take(scanned.used);
    if (scanned.status == ScanStatus::kMore) return false;
    if (scanned.status == ScanStatus::kDone) return to(State::kAfterValue);
    sink().hold(value_.pending());
    return give_up();
  }

  bool end_call() {
    take(1);
    if (num_arguments_ == 0) {
      sink().begin_call(name_, "");
      sink().arguments("{}");
    } else {
      sink().drop();
      sink().arguments("}");
    }
    return to(State::kAfterCall);
  }

  State state_ = State::kStart;
  std::string name_, keyword_;
  int num_arguments_ = 0;
  PythonValue value_;
};

}  // namespace

std::unique_ptr<ToolParser> make_pythonic_parser(const OutputParserOptions& options, MessageSink& sink) {
  return std::make_unique<PythonicParser>(options, sink);
}

}  // namespace pegainfer::chat

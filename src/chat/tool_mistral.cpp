// mistral: [TOOL_CALLS] [{"name": .., "arguments": {..}}, ..] of the older tokenizers, and of the newer ones
// [TOOL_CALLS]name[ARGS]{..} or [TOOL_CALLS]name[CALL_ID]id[ARGS]{..}, repeated.
#include <algorithm>
#include <array>

#include "chat/json_calls.h"
#include "chat/tool_parser.h"

namespace pegainfer::chat {
namespace {

constexpr std::array<std::string_view, 1> kOpenMarks = {"[TOOL_CALLS]"};
constexpr std::string_view kArgumentsMark = "[ARGS]";
constexpr std::string_view kIdMark = "[CALL_ID]";

class MistralParser final : public ToolParser {
 public:
  MistralParser(const OutputParserOptions& options, MessageSink& sink)
      : ToolParser(options, sink), calls_(JsonCallRules{}, options.tool_names) {}

 protected:
  bool step() override {
    switch (state_) {
      case State::kText:
        if (content_until(kOpenMarks) < 0) return false;
        name_.clear();
        id_.clear();
        state_ = State::kOpen;
        return true;
      case State::kOpen: return step_open();
      case State::kName: return step_name();
      case State::kId: return step_id();
      case State::kArgumentsOpen: return step_arguments_open();
      case State::kArguments: return leave(stream_arguments());
      case State::kCalls: return leave(feed(calls_));
    }
    return false;
  }

  void end() override {
    if (state_ == State::kCalls) {
      resolve(calls_);
    } else if (state_ != State::kText && state_ != State::kArguments) {
      sink().release();
    }
  }

 private:
  enum class State { kText, kOpen, kName, kId, kArgumentsOpen, kArguments, kCalls };

  bool leave(ScanStatus status) {
    if (status == ScanStatus::kMore) return false;
    state_ = State::kText;
    return true;
  }
  bool give_up() {
    sink().release();
    state_ = State::kText;
    return true;
  }

  bool step_open() {
    if (!hold_space()) return false;
    const char c = rest().front();
    if (c == '[' || c == '{') {
      calls_.reset();
      state_ = State::kCalls;
      return true;
    }
    if (!is_name_byte(c)) return give_up();
    state_ = State::kName;
    return true;
  }

  // Moves name bytes to `word`; false when no text is left then.
  bool take_word(std::string& word) {
    const auto text = rest();
    const auto end = std::find_if_not(text.begin(), text.end(), is_name_byte);
    const auto size = static_cast<size_t>(end - text.begin());
    word += text.substr(0, size);
    hold(size);
    return !rest().empty();
  }

  bool step_name() {
    if (!take_word(name_)) return false;
    if (!is_tool(name_)) return give_up();
    // Where special tokens are left out of the text the object follows the name.
    if (rest().front() == '{') {
      state_ = State::kArgumentsOpen;
      return true;
    }
    const Match arguments = hold_mark(kArgumentsMark);
    const Match id = arguments == Match::kNo ? hold_mark(kIdMark) : Match::kNo;
    if (arguments == Match::kPartly || id == Match::kPartly) return false;
    if (arguments == Match::kNo && id == Match::kNo) return give_up();
    state_ = id == Match::kYes ? State::kId : State::kArgumentsOpen;
    return true;
  }

  bool step_id() {
    if (!take_word(id_)) return false;
    switch (hold_mark(kArgumentsMark)) {
      case Match::kPartly: return false;
      case Match::kNo: return give_up();
      case Match::kYes: state_ = State::kArgumentsOpen;
    }
    return true;
  }

  bool step_arguments_open() {
    if (!hold_space()) return false;
    if (rest().front() != '{') return give_up();
    sink().begin_call(name_, id_);
    begin_arguments();
    state_ = State::kArguments;
    return true;
  }

  State state_ = State::kText;
  JsonCalls calls_;
  std::string name_, id_;
};

}  // namespace

std::unique_ptr<ToolParser> make_mistral_parser(const OutputParserOptions& options, MessageSink& sink) {
  return std::make_unique<MistralParser>(options, sink);
}

}  // namespace pegainfer::chat

// llama3_json: the whole answer is {"name": .., "parameters": {..}}, with <|python_tag|> before it or not;
// several are separated by "; ". Text that begins in another way has no calls.
#include "chat/json_calls.h"
#include "chat/tool_parser.h"

namespace pegainfer::chat {
namespace {

constexpr std::string_view kTag = "<|python_tag|>";

class Llama3JsonParser final : public ToolParser {
 public:
  Llama3JsonParser(const OutputParserOptions& options, MessageSink& sink)
      : ToolParser(options, sink), calls_(JsonCallRules{.marked = false}, options.tool_names) {}

 protected:
  bool step() override {
    switch (state_) {
      case State::kBetween: return step_between();
      case State::kCalls: {
        const ScanStatus status = feed(calls_);
        if (status == ScanStatus::kMore) return false;
        state_ = status == ScanStatus::kDone ? State::kBetween : State::kContent;
        any_ = true;
        return true;
      }
      case State::kContent:
        sink().text(rest());
        take(rest().size());
        break;
    }
    return false;
  }

  void end() override {
    if (state_ == State::kCalls) resolve(calls_);
    if (state_ == State::kBetween && any_) sink().drop();  // a separator
  }

 private:
  enum class State { kBetween, kCalls, kContent };

  bool step_between() {
    if (!hold_space()) return false;
    if (any_ && rest().front() == ';') {
      hold(1);
      return true;
    }
    if (rest().front() == '{') {
      calls_.reset();
      state_ = State::kCalls;
      return true;
    }
    switch (hold_mark(kTag)) {
      case Match::kPartly: return false;
      case Match::kYes: return true;
      case Match::kNo: state_ = State::kContent;
    }
    return true;
  }

  State state_ = State::kBetween;
  bool any_ = false;  // a call came before
  JsonCalls calls_;
};

}  // namespace

std::unique_ptr<ToolParser> make_llama3_json_parser(const OutputParserOptions& options, MessageSink& sink) {
  return std::make_unique<Llama3JsonParser>(options, sink);
}

}  // namespace pegainfer::chat

// hermes (Qwen2.5, Qwen3, Hermes, SmolLM3): <tool_call>\n{"name": .., "arguments": {..}}\n</tool_call>,
// repeated.
#include <array>

#include "chat/json_calls.h"
#include "chat/tool_parser.h"

namespace pegainfer::chat {
namespace {

constexpr std::array<std::string_view, 1> kOpenMarks = {"<tool_call>"};
constexpr std::string_view kCloseMark = "</tool_call>";

class HermesParser final : public ToolParser {
 public:
  HermesParser(const OutputParserOptions& options, MessageSink& sink)
      : ToolParser(options, sink), calls_(JsonCallRules{}, options.tool_names) {}

 protected:
  bool step() override {
    switch (state_) {
      case State::kText:
        if (content_until(kOpenMarks) < 0) return false;
        calls_.reset();
        state_ = State::kCall;
        return true;
      case State::kCall: {
        const ScanStatus status = feed(calls_);
        state_ = status == ScanStatus::kMore   ? State::kCall
                 : status == ScanStatus::kDone ? State::kClose
                                               : State::kText;
        return status != ScanStatus::kMore;
      }
      case State::kClose:
        if (!hold_space()) return false;
        // Cut short is as good as absent: the call was complete.
        if (final() && kCloseMark.starts_with(rest())) take(rest().size());
        switch (at(kCloseMark)) {
          case Match::kPartly: return false;
          case Match::kNo: break;
          case Match::kYes: take(kCloseMark.size()); sink().drop();
        }
        state_ = State::kText;
        return true;
    }
    return false;
  }

  void end() override {
    if (state_ == State::kCall) resolve(calls_);
  }

 private:
  enum class State { kText, kCall, kClose };

  State state_ = State::kText;
  JsonCalls calls_;
};

}  // namespace

std::unique_ptr<ToolParser> make_hermes_parser(const OutputParserOptions& options, MessageSink& sink) {
  return std::make_unique<HermesParser>(options, sink);
}

}  // namespace pegainfer::chat

// json, for models without a format of their own: an object with name and arguments (or parameters), or an
// array of such, as the whole answer or in a fence of ``` anywhere.
#include <array>

#include "chat/json_calls.h"
#include "chat/tool_parser.h"

namespace pegainfer::chat {
namespace {

constexpr std::array<std::string_view, 1> kFenceMarks = {"```"};
constexpr std::string_view kFenceMark = kFenceMarks[0];
constexpr std::string_view kLanguageName = "json";

class JsonParser final : public ToolParser {
 public:
  JsonParser(const OutputParserOptions& options, MessageSink& sink)
      : ToolParser(options, sink), calls_(JsonCallRules{.marked = false}, options.tool_names) {}

 protected:
  bool step() override {
    switch (state_) {
      case State::kBare:  // at the start, and after a call
        if (!hold_space()) return false;
        fenced_ = false;
        if (!begin_calls()) state_ = State::kText;
        return true;
      case State::kText:
        if (content_until(kFenceMarks) < 0) return false;
        state_ = State::kLanguage;
        return true;
      case State::kLanguage:
        if (hold_mark(kLanguageName) == Match::kPartly) return false;
        state_ = State::kFenced;
        return true;
      case State::kFenced:
        if (!hold_space()) return false;
        fenced_ = true;
        if (!begin_calls()) give_up();
        return true;
      case State::kCalls: {
        const ScanStatus status = feed(calls_);
        if (status == ScanStatus::kMore) return false;
        state_ = status == ScanStatus::kBroken ? State::kText : fenced_ ? State::kClose : State::kBare;
        return true;
      }
      case State::kClose: return step_close();
    }
    return false;
  }

  void end() override {
    if (state_ == State::kCalls) resolve(calls_);
    if (state_ == State::kLanguage || state_ == State::kFenced) sink().release();
  }

 private:
  enum class State { kBare, kText, kLanguage, kFenced, kCalls, kClose };

  bool begin_calls() {
    const char c = rest().front();
    if (c != '{' && c != '[') return false;
    calls_.reset();
    state_ = State::kCalls;
    return true;
  }
  void give_up() {
    sink().release();
    state_ = State::kText;
  }

  bool step_close() {
    if (!hold_space()) return false;
    if (final() && kFenceMark.starts_with(rest())) take(rest().size());
    switch (at(kFenceMark)) {
      case Match::kPartly: return false;
      case Match::kNo: state_ = State::kText; break;
      case Match::kYes:
        take(kFenceMark.size());
        sink().drop();
        state_ = State::kBare;
    }
    return true;
  }

  State state_ = State::kBare;
  bool fenced_ = false;
  JsonCalls calls_;
};

}  // namespace

std::unique_ptr<ToolParser> make_json_parser(const OutputParserOptions& options, MessageSink& sink) {
  return std::make_unique<JsonParser>(options, sink);
}

}  // namespace pegainfer::chat

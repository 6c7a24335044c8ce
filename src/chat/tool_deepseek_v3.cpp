// deepseek_v3: <｜tool▁calls▁begin｜>, then for each call
//   <｜tool▁call▁begin｜>function<｜tool▁sep｜>name\n```json\n{..}\n```<｜tool▁call▁end｜>   (V3, R1)
//   <｜tool▁call▁begin｜>name<｜tool▁sep｜>{..}<｜tool▁call▁end｜>                           (V3.1)
// and <｜tool▁calls▁end｜>.
#include <array>

#include "chat/tool_parser.h"

namespace pegainfer::chat {
namespace {

constexpr std::string_view kSectionBegin = "<｜tool▁calls▁begin｜>";
constexpr std::string_view kSectionEnd = "<｜tool▁calls▁end｜>";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>";
constexpr std::string_view kCallEnd = "<｜tool▁call▁end｜>";
constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
constexpr std::string_view kFenceMark = "```";
constexpr std::string_view kLanguageName = "json";
constexpr std::array<std::string_view, 2> kOpenMarks = {kSectionBegin, kCallBegin};

class DeepseekV3Parser final : public ToolParser {
 public:
  using ToolParser::ToolParser;

 protected:
  bool step() override {
    switch (state_) {
      case State::kText: {
        const int mark = content_until(kOpenMarks);
        if (mark < 0) return false;
        return to(mark == 0 ? State::kSection : State::kKind);
      }
      case State::kSection: return step_section();
      case State::kKind: return step_kind();
      case State::kAfterSeparator:
        if (!hold_space()) return false;
        if (rest().front() != '{') return to(State::kName);
        return is_tool(name_) ? begin_call() : give_up();
      case State::kName: return step_name();
      case State::kFence: return step_mark(kFenceMark, State::kLanguage);
      case State::kLanguage: return step_mark(kLanguageName, State::kObject);
      case State::kObject:
        if (!hold_space()) return false;
        return rest().front() == '{' ? begin_call() : give_up();
      case State::kArguments: {
        const ScanStatus status = stream_arguments();
        if (status == ScanStatus::kMore) return false;
        return to(status == ScanStatus::kDone ? State::kAfterArguments : State::kText);
      }
      case State::kAfterArguments: return step_after_arguments();
    }
    return false;
  }

  void end() override {
    switch (state_) {
      case State::kText:
      case State::kArguments: break;
      case State::kAfterArguments: sink().drop(); break;
      default: sink().release();
    }
  }

 private:
  enum class State {
    kText,
    kSection,
    kKind,
    kAfterSeparator,
    kName,
    kFence,
    kLanguage,
    kObject,
    kArguments,
    kAfterArguments
  };

  bool to(State state) {
    state_ = state;
    return true;
  }
  bool give_up() {
    sink().release();
    return to(State::kText);
  }
  bool begin_call() {
    sink().begin_call(name_, "");
    begin_arguments();
    return to(State::kArguments);
  }

  // Between calls. The first mark of the section is held until a call begins.
  bool step_section() {
    if (!hold_space()) return false;
    if (final() && kSectionEnd.starts_with(rest()) && any_) take(rest().size());
    const Match begin = hold_mark(kCallBegin);
    const Match close = begin == Match::kNo ? at(kSectionEnd) : Match::kNo;
    if (begin == Match::kYes) return to(State::kKind);
    if (begin == Match::kPartly || close == Match::kPartly) return false;
    if (close == Match::kYes && any_) {
      take(kSectionEnd.size());
      sink().drop();
      return to(State::kText);
    }
    if (!any_) sink().release();
    return to(State::kText);
  }

  // "function", or the name.
  bool step_kind() {
    const std::array<std::string_view, 1> marks = {kSeparator};
    const FoundMark found = find_mark(rest(), marks, final());
    const bool too_long =
        found.begin > kMaxNameBytes || rest().substr(0, found.begin).find('\n') != std::string_view::npos;
    if (too_long) return give_up();
    if (found.mark < 0) return false;
    name_ = rest().substr(0, found.begin);
    hold(found.begin + kSeparator.size());
    return to(State::kAfterSeparator);
  }

  bool step_name() {
    const size_t size = rest().find('\n');
    if (std::min(size, rest().size()) > kMaxNameBytes) return give_up();
    if (size == std::string_view::npos) return false;
    name_ = rest().substr(0, size);
    while (!name_.empty() && is_space(name_.back())) name_.pop_back();
    if (!is_tool(name_)) return give_up();
    hold(size);
    return to(State::kFence);
  }

  bool step_mark(std::string_view mark, State next) {
    if (!hold_space()) return false;
    switch (hold_mark(mark)) {
      case Match::kPartly: return false;
      case Match::kNo: return give_up();
      case Match::kYes: break;
    }
    return to(next);
  }

  bool step_after_arguments() {
    any_ = true;
    if (!hold_space()) return false;
    if (final() && (kCallEnd.starts_with(rest()) || kFenceMark.starts_with(rest()))) {
      take(rest().size());
      return true;
    }
    const Match fence = hold_mark(kFenceMark);
    if (fence == Match::kYes) return true;
    switch (at(kCallEnd)) {
      case Match::kYes:
        take(kCallEnd.size());
        sink().drop();
        return to(State::kSection);
      case Match::kPartly: return false;
      case Match::kNo: break;
    }
    return fence == Match::kPartly ? false : to(State::kSection);
  }

  State state_ = State::kText;
  bool any_ = false;
  std::string name_;
};

}  // namespace

std::unique_ptr<ToolParser> make_deepseek_v3_parser(const OutputParserOptions& options, MessageSink& sink) {
  return std::make_unique<DeepseekV3Parser>(options, sink);
}

}  // namespace pegainfer::chat

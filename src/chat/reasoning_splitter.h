// ReasoningSplitter: what a model thinks before it answers, split off from the answer.
#pragma once

#include <string>
#include <string_view>

#include "chat/output_parser.h"

namespace pegainfer::chat {

class ReasoningSplitter {
 public:
  // `starts_inside`: the prompt ends with the opening mark; the text may repeat it.
  ReasoningSplitter(ReasoningFormat format, bool starts_inside)
      : format_(std::move(format)), inside_(starts_inside) {}

  struct Split {
    std::string reasoning, content;
  };
  // Line breaks next to a mark belong to neither side, as the templates that write them in show. Reasoning is
  // looked for only at the start of the text. Never closed, the rest is reasoning.
  Split push(std::string_view text);
  Split finish();
  [[nodiscard]] bool in_reasoning() const {
    return state_ == State::kInside || (state_ == State::kStart && inside_);
  }

 private:
  enum class State { kStart, kAfterOpen, kInside, kAfterClose, kContent };
  bool step(Split& split, bool final);
  bool step_start(Split& split, bool final);
  bool step_inside(Split& split, bool final);
  bool skip_line_breaks(State next);

  const ReasoningFormat format_;
  const bool inside_;
  State state_ = State::kStart;
  std::string buffer_;  // what is not decided yet
};

}  // namespace pegainfer::chat

#include "chat/reasoning_splitter.h"

#include <algorithm>
#include <array>

#include "chat/message_sink.h"
#include "chat/text_match.h"

namespace pegainfer::chat {
namespace {

constexpr std::string_view kLineBreaks = "\r\n";

}  // namespace

bool ReasoningSplitter::skip_line_breaks(State next) {
  buffer_.erase(0, std::min(buffer_.find_first_not_of(kLineBreaks), buffer_.size()));
  if (buffer_.empty()) return false;
  state_ = next;
  return true;
}

bool ReasoningSplitter::step_start(Split& split, bool final) {
  const size_t space = std::min(buffer_.find_first_not_of(kWhitespace), buffer_.size());
  if (space == buffer_.size() && !final) return false;
  switch (match(std::string_view(buffer_).substr(space), format_.open, final)) {
    case Match::kPartly: return false;
    case Match::kYes:
      buffer_.erase(0, space + format_.open.size());
      state_ = State::kAfterOpen;
      return true;
    case Match::kNo: state_ = inside_ ? State::kAfterOpen : State::kContent;
  }
  if (state_ == State::kContent) split.content += std::exchange(buffer_, {});
  return true;
}

bool ReasoningSplitter::step_inside(Split& split, bool final) {
  const std::array<std::string_view, 1> marks = {format_.close};
  const FoundMark found = find_mark(buffer_, marks, final);
  // Line breaks at the end are held: the mark may follow.
  size_t end = found.begin;
  if (!final || found.mark >= 0) {
    while (end > 0 && kLineBreaks.find(buffer_[end - 1]) != std::string_view::npos) --end;
  }
  split.reasoning.append(buffer_, 0, end);
  if (found.mark < 0) {
    buffer_.erase(0, end);
    return false;
  }
  buffer_.erase(0, found.begin + format_.close.size());
  state_ = State::kAfterClose;
  return true;
}

bool ReasoningSplitter::step(Split& split, bool final) {
  switch (state_) {
    case State::kStart: return step_start(split, final);
    case State::kAfterOpen: return skip_line_breaks(State::kInside);
    case State::kInside: return step_inside(split, final);
    case State::kAfterClose: return skip_line_breaks(State::kContent);
    case State::kContent: split.content += std::exchange(buffer_, {}); break;
  }
  return false;
}

ReasoningSplitter::Split ReasoningSplitter::push(std::string_view text) {
  Split split;
  buffer_ += text;
  while (!buffer_.empty() && step(split, false)) {
  }
  return split;
}

ReasoningSplitter::Split ReasoningSplitter::finish() {
  Split split;
  while (!buffer_.empty() && step(split, true)) {
  }
  return split;
}

}  // namespace pegainfer::chat

#include "chat/tool_parser.h"

#include <algorithm>

namespace pegainfer::chat {

bool is_name_byte(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' ||
         c == '-';
}

void ToolParser::push(std::string_view text) {
  buffer_ += text;
  while (position_ < buffer_.size() && step()) {
  }
  buffer_.erase(0, position_);
  position_ = 0;
}

void ToolParser::finish() {
  final_ = true;
  while (position_ < buffer_.size() && step()) {
  }
  end();
  sink_.text(rest());
  buffer_.clear();
  position_ = 0;
  sink_.finish();
}

void ToolParser::hold(size_t size) {
  sink_.hold(rest().substr(0, size));
  take(size);
}

bool ToolParser::hold_space() {
  const size_t size = std::min(rest().find_first_not_of(kWhitespace), rest().size());
  hold(size);
  return !rest().empty();
}

Match ToolParser::hold_mark(std::string_view mark) {
  const Match found = at(mark);
  if (found == Match::kYes) hold(mark.size());
  return found;
}

int ToolParser::content_until(std::span<const std::string_view> marks) {
  const FoundMark found = find_mark(rest(), marks, final_);
  sink_.text(rest().substr(0, found.begin));
  take(found.begin);
  if (found.mark >= 0) hold(marks[static_cast<size_t>(found.mark)].size());
  return found.mark;
}

ScanStatus ToolParser::feed(JsonCalls& calls) {
  std::string_view text = rest();
  const size_t size = text.size();
  const ScanStatus status = calls.feed(text, sink_);
  take(size - text.size());
  if (status == ScanStatus::kBroken) sink_.release();
  return status;
}

void ToolParser::resolve(const JsonCalls& calls) {
  if (calls.committed()) {
    sink_.drop();
  } else {
    sink_.release();
  }
}

ScanStatus ToolParser::stream_arguments() {
  std::string piece;
  const Scanned scanned = scanner_.scan(rest(), piece);
  sink_.arguments(piece);
  take(scanned.used);
  return scanned.status;
}

bool ToolParser::is_tool(std::string_view name) const {
  return std::find(options_.tool_names.begin(), options_.tool_names.end(), name) != options_.tool_names.end();
}

}  // namespace pegainfer::chat

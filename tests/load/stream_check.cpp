#include "load/stream_check.h"

#include <cstdlib>

namespace pegainfer::load {

void StreamCheck::feed(std::string_view bytes) {
  raw_ += bytes;
  if (status_ == 0) take_head();
  if (status_ != 200) return;
  take_chunks();
  take_frames();
}

void StreamCheck::take_head() {
  const size_t end = raw_.find("\r\n\r\n");
  if (end == std::string::npos) return;
  status_ = std::atoi(raw_.c_str() + sizeof "HTTP/1.1");  // NOLINT(cert-err34-c): 0 is wrong, too
  raw_.erase(0, end + 4);
}

void StreamCheck::take_chunks() {
  while (!ended_) {
    const size_t line = raw_.find("\r\n");
    if (line == std::string::npos) return;
    const size_t size = std::strtoul(raw_.c_str(), nullptr, 16);
    if (raw_.size() < line + 2 + size + 2) return;
    if (size == 0) {
      ended_ = true;
    } else {
      events_.append(raw_, line + 2, size);
    }
    raw_.erase(0, line + 2 + size + 2);
  }
  if (!raw_.empty()) wrong_ = "bytes after the last chunk";
}

void StreamCheck::take_frames() {
  size_t begin = 0;
  for (size_t end = 0; (end = events_.find("\n\n", begin)) != std::string::npos; begin = end + 2)
    take_frame(std::string_view(events_).substr(begin, end - begin));
  events_.erase(0, begin);
}

void StreamCheck::take_frame(std::string_view frame) {
  if (done_) wrong_ = "a frame after [DONE]";
  if (!frame.starts_with("data: ")) wrong_ = "a frame that is no data";
  if (frame == "data: [DONE]") {
    done_ = true;
    return;
  }
  ++num_frames_;
  if (frame.find("\"error\"") != std::string_view::npos) wrong_ = "an error: " + std::string(frame);
  constexpr std::string_view kText = "\"text\":\"";
  if (const size_t at = frame.find(kText); at != std::string_view::npos) {
    if (num_finishes_ > 0) wrong_ = "text after the finish";
    const size_t from = at + kText.size();
    text_ += frame.substr(from, frame.find('"', from) - from);  // small letters: nothing is escaped
  }
  constexpr std::string_view kFinish = "\"finish_reason\":\"";
  if (frame.find(kFinish) != std::string_view::npos) ++num_finishes_;
}

std::string StreamCheck::wrong(bool over) const {
  if (!wrong_.empty() || !over) return wrong_;
  if (num_finishes_ != 1) return std::to_string(num_finishes_) + " finishes";
  if (!done_) return "no [DONE]";
  if (!ended_) return "no last chunk";
  return "";
}

}  // namespace pegainfer::load

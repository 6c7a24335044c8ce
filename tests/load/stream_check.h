// What a streamed answer must look like, fed piece by piece: frames, one finish, usage at the end, [DONE],
// and nothing after; and that one request's text never differs from another's with the same prompt and seed.
#pragma once

#include <string>
#include <string_view>

namespace pegainfer::load {

class StreamCheck {
 public:
  // Bytes of the response, head included.
  void feed(std::string_view bytes);
  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] int num_frames() const { return num_frames_; }
  // "" or what is wrong; for a stream that is over also what is missing.
  [[nodiscard]] std::string wrong(bool over) const;

 private:
  void take_head();
  void take_chunks();
  void take_frames();
  void take_frame(std::string_view data);

  std::string raw_;     // not yet understood
  std::string events_;  // dechunked, not yet whole frames
  std::string text_;
  std::string wrong_;
  int status_ = 0;
  int num_frames_ = 0;
  int num_finishes_ = 0;
  bool done_ = false;
  bool ended_ = false;  // the last chunk
};

}  // namespace pegainfer::load

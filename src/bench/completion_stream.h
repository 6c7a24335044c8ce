// CompletionStream: the body of a streamed completion, as bytes with their time of arrival, to an outcome.
// Takes what OpenAI-compatible servers send: /v1/completions and /v1/chat/completions, with or without usage.
#pragma once

#include <string>
#include <string_view>

#include "bench/outcome.h"

namespace pegainfer::bench {

class CompletionStream {
 public:
  // `outcome.start` is set; the rest is filled. It must outlive the stream.
  CompletionStream(RequestOutcome& outcome, bool keep_text) : outcome_(outcome), keep_text_(keep_text) {}

  // Bytes that arrived `now` seconds after the benchmark's start.
  void feed(std::string_view bytes, double now);
  // The body is complete, or the connection gone: success when a finish was seen and no error.
  void finish();

 private:
  void line(std::string_view line, double now);
  void chunk(std::string_view data, double now);
  void token(double now);

  RequestOutcome& outcome_;
  bool keep_text_;
  std::string partial_;  // a line without its end
  double last_ = 0;      // when the newest token arrived
  int num_arrivals_ = 0;
  int completion_tokens_ = -1;  // by usage
  bool finished_ = false;       // a finish_reason was seen
  bool failed_ = false;
};

// "message" of an error body as OpenAI's servers write it, or its first bytes.
std::string error_message(std::string_view body);

}  // namespace pegainfer::bench

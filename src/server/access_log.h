// A line for every HTTP exchange, in the form that uvicorn has made usual.
#pragma once

#include <string>
#include <vector>

#include "server/http/options.h"

namespace pegainfer::server {

// `127.0.0.1:51234 - "POST /v1/completions HTTP/1.1" 200 OK 1234B 56.7ms req-1`. The path has no query, and
// what a client put into it cannot break out of its quotes; an answer whose client left before it began
// counts as 499.
std::string access_line(const http::Exchange& exchange);

class AccessLog {
 public:
  // Nothing is written for these paths, as "/health".
  explicit AccessLog(std::vector<std::string> quiet_paths) : quiet_paths_(std::move(quiet_paths)) {}
  void write(const http::Exchange& exchange) const;

 private:
  std::vector<std::string> quiet_paths_;
};

}  // namespace pegainfer::server

// HttpPost: POST over libcurl, which is opened when it is asked for. A server that exports nothing links and
// loads nothing that could open a connection to the outside.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "pegainfer/result.h"

namespace pegainfer::trace {

class HttpPost {
 public:
  struct Answer {
    int status = 0;
    std::string body;  // its first 64 KiB
  };

  // An error when libcurl is not there or `url` is none of http:// and https://. `headers`: "name: value".
  static Result<std::unique_ptr<HttpPost>> create(std::string url, std::vector<std::string> headers);
  virtual ~HttpPost() = default;
  // Waits for the answer until `deadline`, or until `give_up` says so, asked about once a second.
  virtual Result<Answer> send(const std::string& body, TimePoint deadline,
                              const std::function<bool()>& give_up) = 0;
};

}  // namespace pegainfer::trace

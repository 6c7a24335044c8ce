// Bytes to requests, without a socket: fed as they arrive, in any pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/http/header_check.h"
#include "server/http/message.h"
#include "server/http/options.h"

namespace pegainfer::http {

class RequestParser {
 public:
  explicit RequestParser(const Limits& limits);
  ~RequestParser();
  RequestParser(RequestParser&&) noexcept;
  RequestParser& operator=(RequestParser&&) noexcept;

  enum class Event : uint8_t {
    kNeedMore,
    kHeader,    // once per request: request() is complete but for its body
    kComplete,  // take_request(), then the next one may follow
    kFault,     // fault(); nothing more can be read from this connection
  };
  // Takes what it can from the front of `buffer`.
  Event advance(std::string& buffer);

  [[nodiscard]] const Request& request() const;
  [[nodiscard]] bool has_body() const;    // that is still to be read or has been
  [[nodiscard]] bool keep_alive() const;  // as the client wishes
  [[nodiscard]] bool expects_continue() const;
  [[nodiscard]] bool in_header() const;  // some bytes of a request came, its headers are not complete
  [[nodiscard]] bool in_body() const;
  [[nodiscard]] const Fault& fault() const;
  Request take_request();  // and start over

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pegainfer::http

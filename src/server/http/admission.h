// What is decided from a request's headers alone, before its body is read.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/router.h"

namespace pegainfer::http {

// Whether the Host header may be answered on a loopback address.
class HostRule {
 public:
  HostRule() = default;  // every host
  static HostRule loopback(std::vector<std::string> also_allowed);
  [[nodiscard]] bool allows(std::string_view host_header) const;

 private:
  bool restricted_ = false;
  std::vector<std::string> also_allowed_;
};

// 403 for a Host that is none of ours. Nothing: it is.
std::optional<Response> check_host(const Request& request, const HostRule& hosts);

// The answer that needs no handler: an unknown path, a wrong method, a body we do not read, OPTIONS. Nothing:
// the route's handler answers.
std::optional<Response> answer_without_handler(const Request& request, bool has_body,
                                               const Router::Match& match);

// The client's x-request-id when it is [A-Za-z0-9._-]{1,128}.
[[nodiscard]] std::string_view safe_request_id(const Request& request);

}  // namespace pegainfer::http

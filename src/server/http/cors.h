// Cross-origin requests of browsers (Fetch standard): off, but for the origins that are listed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"

namespace pegainfer::http {

struct CorsOptions {
  std::vector<std::string> origins;  // as "https://app.example:8443", or "*"; none: no cross-origin requests
  std::vector<std::string> methods = {"*"};
  std::vector<std::string> headers = {"*"};
};

class CorsRule {
 public:
  CorsRule() = default;
  explicit CorsRule(CorsOptions options);

  // The value of access-control-allow-origin for this request, out of our own list; "": none.
  [[nodiscard]] std::string_view allowed_origin(const Request& request) const;
  // Whether the answer depends on the origin, so that caches must know.
  [[nodiscard]] bool varies() const { return !options_.origins.empty() && !any_; }

  // The answer to a browser that asks, without any key, whether it may send a request. Nothing: it asks for
  // an origin that is not listed, or asks nothing.
  [[nodiscard]] std::optional<Response> answer_preflight(const Request& request) const;

 private:
  CorsOptions options_;
  bool any_ = false;
  std::string methods_;
  std::string headers_;
};

}  // namespace pegainfer::http

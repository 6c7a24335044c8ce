#include "server/http/admission.h"

#include <algorithm>

#include "server/http/header_check.h"

namespace pegainfer::http {
namespace {

std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) {
    const size_t close = host.find(']');
    return close == std::string_view::npos ? host : host.substr(0, close + 1);
  }
  return host.substr(0, host.rfind(':'));
}

bool is_loopback_name(std::string_view host) {
  if (equals_ignoring_case(host, "localhost") || host == "[::1]") return true;
  // 127.0.0.0/8, and nothing like "127.0.0.1.evil.example".
  const auto is_number_char = [](char c) { return c == '.' || (c >= '0' && c <= '9'); };
  return host.starts_with("127.") && std::ranges::all_of(host, is_number_char);
}

Response method_not_allowed(const Request& request, const Router::Match& match) {
  Response response =
      error_response(405, {.message = request.method + " is not allowed here, only: " + match.allow,
                           .code = "method_not_allowed"});
  response.headers.push_back({"allow", match.allow});
  return response;
}

// The media type without its parameters.
std::string_view media_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && content_type.back() == ' ') content_type.remove_suffix(1);
  return content_type;
}

std::optional<Response> check_body_headers(const Request& request) {
  if (const std::string* encoding = request.header("content-encoding");
      encoding != nullptr && !equals_ignoring_case(*encoding, "identity")) {
    return error_response(415,
                          {.message = "compressed bodies are not accepted: send it without Content-Encoding",
                           .code = "unsupported_encoding"});
  }
  const std::string* type = request.header("content-type");
  if (type == nullptr || !equals_ignoring_case(media_type(*type), "application/json")) {
    return error_response(
        415, {.message = "the body must be sent with the header \"Content-Type: application/json\"",
              .code = "unsupported_media_type"});
  }
  return std::nullopt;
}

}  // namespace

HostRule HostRule::loopback(std::vector<std::string> also_allowed) {
  HostRule rule;
  rule.restricted_ = true;
  rule.also_allowed_ = std::move(also_allowed);
  return rule;
}

bool HostRule::allows(std::string_view host_header) const {
  if (!restricted_) return true;
  const std::string_view host = without_port(host_header);
  return is_loopback_name(host) ||
         std::ranges::any_of(also_allowed_, [&](const auto& a) { return equals_ignoring_case(a, host); });
}

std::optional<Response> check_host(const Request& request, const HostRule& hosts) {
  const std::string* host = request.header("host");
  if (host == nullptr || hosts.allows(*host)) return std::nullopt;
  return error_response(403, {.message = "this server answers on a loopback address and only for localhost; "
                                         "--allowed-host adds a name",
                              .type = "permission_error",
                              .code = "host_not_allowed"});
}

std::optional<Response> answer_without_handler(const Request& request, bool has_body,
                                               const Router::Match& match) {
  if (request.method == "CONNECT")
    return error_response(501, {.message = "this server is not a proxy", .code = "not_implemented"});
  if (request.method == "OPTIONS" && (request.target == "*" || !match.allow.empty())) {
    Response response;
    response.status = 204;
    response.headers.push_back({"allow", match.allow.empty() ? "GET, HEAD, POST, OPTIONS" : match.allow});
    return response;
  }
  if (match.allow.empty())
    return error_response(404, {.message = "there is nothing at this path", .code = "not_found"});
  if (match.route == nullptr) return method_not_allowed(request, match);
  if (has_body) return check_body_headers(request);
  return std::nullopt;
}

std::string_view safe_request_id(const Request& request) {
  constexpr size_t kMaxLength = 128;
  const std::string* id = request.header("x-request-id");
  if (id == nullptr || id->empty() || id->size() > kMaxLength) return {};
  const auto is_safe = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return std::ranges::all_of(*id, is_safe) ? std::string_view(*id) : std::string_view{};
}

}  // namespace pegainfer::http

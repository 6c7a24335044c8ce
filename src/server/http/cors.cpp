#include "server/http/cors.h"

#include <algorithm>
#include <utility>

namespace pegainfer::http {
namespace {

constexpr const char* kMaxAge = "600";  // seconds a browser may remember what a preflight said

std::string join(const std::vector<std::string>& words, std::string_view star) {
  std::string joined;
  for (const std::string& word : words) {
    if (!joined.empty()) joined += ", ";
    joined += word == "*" ? star : std::string_view(word);
  }
  return joined;
}

}  // namespace

CorsRule::CorsRule(CorsOptions options)
    : options_(std::move(options)),
      any_(std::ranges::find(options_.origins, "*") != options_.origins.end()),
      methods_(join(options_.methods, "GET, HEAD, POST, OPTIONS")),
      headers_(join(options_.headers, "*, authorization")) {}  // the star does not stand for that one

std::string_view CorsRule::allowed_origin(const Request& request) const {
  if (options_.origins.empty()) return {};
  const std::string* origin = request.header("origin");
  if (origin == nullptr) return {};
  if (any_) return "*";
  const auto found = std::ranges::find(options_.origins, *origin);
  return found == options_.origins.end() ? std::string_view{} : std::string_view(*found);
}

std::optional<Response> CorsRule::answer_preflight(const Request& request) const {
  if (request.method != "OPTIONS" || request.header("access-control-request-method") == nullptr ||
      allowed_origin(request).empty())
    return std::nullopt;
  Response response;
  response.status = 204;
  response.headers = {{"access-control-allow-methods", methods_},
                      {"access-control-allow-headers", headers_},
                      {"access-control-max-age", kMaxAge}};
  return response;
}

}  // namespace pegainfer::http

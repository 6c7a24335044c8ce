#include "server/http/router.h"

#include <fmt/core.h>

#include <optional>

namespace pegainfer::http {
namespace {

std::optional<std::string_view> match_path(std::string_view pattern, std::string_view path) {
  const size_t brace = pattern.find('{');
  if (brace == std::string_view::npos)
    return pattern == path ? std::optional<std::string_view>("") : std::nullopt;
  const std::string_view prefix = pattern.substr(0, brace);
  if (!path.starts_with(prefix) || path.size() == prefix.size()) return std::nullopt;
  return path.substr(prefix.size());
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Router::Match Router::match(std::string_view method, std::string_view path) const {
  const std::string_view wanted = method == "HEAD" ? "GET" : method;
  Match result;
  for (const Route& route : routes_) {
    const auto tail = match_path(route.path, path);
    if (!tail) continue;
    if (route.method == wanted) {
      result.route = &route;
      result.path_tail = percent_decode(*tail);
    }
    if (!result.allow.empty()) result.allow += ", ";
    result.allow += route.method == "GET" ? "GET, HEAD" : route.method;
  }
  if (!result.allow.empty()) result.allow += ", OPTIONS";
  return result;
}

Status Router::open(std::string_view path) {
  for (Route& route : routes_) {
    if (route.path != path || route.method != "GET") continue;
    route.access = Access::kOpen;
    return ok_status();
  }
  return invalid_argument(fmt::format("there is no endpoint {} that answers GET", path), "public-path");
}

std::string percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const int high = hex_value(text[i + 1]);
      const int low = hex_value(text[i + 2]);
      if (high >= 0 && low >= 0) {
        out += static_cast<char>(high * 16 + low);
        i += 2;
        continue;
      }
    }
    out += text[i];
  }
  return out;
}

}  // namespace pegainfer::http

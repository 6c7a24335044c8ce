#include "server/access_log.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/log_event.h"
#include "server/http/message.h"

namespace pegainfer::server {
namespace {

constexpr size_t kLongestPath = 256;
constexpr int kClientLeft = 499;

int status_of(const http::Exchange& exchange) { return exchange.status == 0 ? kClientLeft : exchange.status; }

std::string quoted_path(std::string_view path) {
  std::string out;
  for (const char c : escape_log_text(path.substr(0, kLongestPath))) {
    if (c == '"') {
      out += "\\x22";
    } else {
      out += c;
    }
  }
  if (path.size() > kLongestPath) out += "...";
  return out;
}

std::string line_of(const http::Exchange& e, std::string_view path) {
  const int status = status_of(e);
  const std::string_view reason =
      status == kClientLeft ? "Client Closed Request" : http::reason_phrase(status);
  return fmt::format("{} - \"{} {} HTTP/1.{}\" {} {} {}B {:.1f}ms {}", e.peer, e.method,
                     path.empty() ? "-" : path, e.minor_version, status, reason, e.bytes, e.seconds * 1e3,
                     e.request_id);
}

}  // namespace

std::string access_line(const http::Exchange& e) { return line_of(e, quoted_path(e.path)); }

void AccessLog::write(const http::Exchange& e) const {
  if (!log_enabled(LogLevel::kInfo)) return;
  if (std::find(quiet_paths_.begin(), quiet_paths_.end(), e.path) != quiet_paths_.end()) return;
  const std::string path = quoted_path(e.path);
  log_event(LogLevel::kInfo, line_of(e, path),
            {{"request_id", e.request_id},
             {"peer", e.peer},
             {"method", e.method},
             {"path", path},
             {"status", int64_t{status_of(e)}},
             {"bytes", static_cast<int64_t>(e.bytes)},
             {"duration_ms", e.seconds * 1e3}});
}

}  // namespace pegainfer::server

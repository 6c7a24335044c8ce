#include "apps/log_flags.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "base/log_event.h"
#include "server/access_log.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kGroup = "Logs";

}  // namespace

void add_log_flags(CLI::App& command, LogFlags& flags) {
  command.add_option("--log-format", flags.format, "text, or json: each line is one JSON object")
      ->capture_default_str()
      ->group(kGroup);
  command.add_flag("--disable-access-log", flags.disable_access_log, "No line for each HTTP request")
      ->group(kGroup);
  command
      .add_option("--disable-access-log-for-endpoints", flags.quiet_endpoints,
                  "No line for requests of these paths: /health,/metrics")
      ->delimiter(',')
      ->group(kGroup);
}

Status apply_log_format(const LogFlags& flags) {
  if (flags.format != "text" && flags.format != "json")
    return invalid_argument("--log-format " + flags.format + ": it must be text or json", "--log-format");
  set_log_format(flags.format == "json" ? LogFormat::kJson : LogFormat::kText);
  return ok_status();
}

Status connect_access_log(const LogFlags& flags, http::Options& http) {
  for (const std::string& path : flags.quiet_endpoints)
    if (!path.starts_with("/"))
      return invalid_argument("--disable-access-log-for-endpoints " + path + ": a path begins with /",
                              "--disable-access-log-for-endpoints");
  if (flags.disable_access_log) return ok_status();
  const auto log = std::make_shared<const server::AccessLog>(flags.quiet_endpoints);
  http.on_exchange = [log, others = std::move(http.on_exchange)](const http::Exchange& exchange) {
    if (others) others(exchange);
    log->write(exchange);
  };
  return ok_status();
}

}  // namespace pegainfer::apps

// The flags of logs, besides --log-level.
#pragma once

#include <string>
#include <vector>

#include "pegainfer/result.h"
#include "server/http/options.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps {

struct LogFlags {
  std::string format = "text";
  bool disable_access_log = false;
  std::vector<std::string> quiet_endpoints;
};

// `flags` must outlive the parsing.
void add_log_flags(CLI::App& command, LogFlags& flags);
// After parsing, before anything is logged.
Status apply_log_format(const LogFlags& flags);
// Adds the access log to what `http` already does with exchanges.
Status connect_access_log(const LogFlags& flags, http::Options& http);

}  // namespace pegainfer::apps

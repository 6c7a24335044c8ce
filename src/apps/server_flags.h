// The flags of `serve` besides the model's: the server, its limits, what it shows of itself.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/chat_flags.h"
#include "apps/log_flags.h"
#include "apps/model_flags.h"
#include "apps/security_flags.h"
#include "apps/watch.h"
#include "pegainfer/result.h"
#include "server/app.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps {

struct ServeFlags {
  ModelFlags model;
  ChatFlags chat;
  server::AppOptions app;
  WatchFlags watch;
  SecurityFlags security;
  LogFlags log;
  std::vector<std::string> served_names;
  std::string max_body = "8M";
  double shutdown_seconds = 30;
  double request_timeout = 0;
  double stall_seconds = 60;
  std::optional<uint64_t> seed;
  double write_stall_seconds = 30;
};

// `flags` must outlive the parsing.
void add_serve_flags(CLI::App& command, ServeFlags& flags);
// After parsing: numbers that were texts go to where they belong in flags.app.
Status apply_serve_flags(ServeFlags& flags);

}  // namespace pegainfer::apps

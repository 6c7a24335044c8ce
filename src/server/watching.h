// What the server shows of itself without knowing how it is gathered: metrics and profiles.
#pragma once

#include <functional>
#include <string>

#include "pegainfer/result.h"

namespace pegainfer::server {

// An empty function: its endpoint says 404.
struct Watching {
  std::function<std::string()> metrics;               // the page of GET /metrics
  std::function<Status()> start_profile;              // POST /start_profile
  std::function<Result<std::string>()> stop_profile;  // POST /stop_profile: the path of what was written
};

}  // namespace pegainfer::server

// What a server is told besides its model: limits of requests and deadlines.
#pragma once

#include <chrono>

#include "server/openai/completion_request.h"

namespace pegainfer::server {

struct ServiceOptions {
  openai::ApiLimits api;
  std::chrono::duration<double> request_timeout{0};  // of requests that bring none; 0: they may take for ever
  std::chrono::duration<double> engine_stall_timeout{60};  // work and no step ended for so long: not ready
};

}  // namespace pegainfer::server

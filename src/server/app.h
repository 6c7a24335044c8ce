// A whole server: it listens at once, loads the model on a thread of its own, and ends when asked to.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "pegainfer/result.h"
#include "server/http/options.h"
#include "server/options.h"
#include "server/served_model.h"
#include "server/watching.h"

namespace pegainfer::server {

// For whoever started the process. Called on the server's thread; empty functions are not.
struct Lifecycle {
  std::function<void(const ServedModel& model, const std::string& url)> on_ready;
  std::function<void()> on_shutdown;  // at the first signal
  // Every so often from on_ready to the end, as long as this thread runs and the engine goes on or has
  // nothing to do.
  std::function<void()> on_alive;
  std::chrono::milliseconds alive_interval{5'000};
};

struct AppOptions {
  http::Options http;
  ServiceOptions service;
  Watching watching;
  std::chrono::milliseconds shutdown_timeout{30'000};  // for requests under way after the first signal
  // Called once the port is open, with "http://127.0.0.1:8000".
  std::function<void(const std::string& url)> on_listening;
  Lifecycle lifecycle;
};

struct LoadContext {
  LoadStatus& status;
  // To be called when the engine has failed for good, on any thread: the process then ends with kInternal.
  std::function<void(const std::string& reason)> on_dead;
};
// Runs on a thread of its own.
using ModelLoader = std::function<Result<ServedModel>(const LoadContext&)>;

// Serves until SIGTERM or SIGINT: then no connection is accepted any more, /health says 503, requests under
// way finish within shutdown_timeout. A second signal ends them at once. An error: the port could not be had
// or the model not loaded.
Status run_app(AppOptions options, const ModelLoader& load);

}  // namespace pegainfer::server

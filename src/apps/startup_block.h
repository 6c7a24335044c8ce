// What a server says of itself when it is ready: what runs, how much of it fits, and what requests get that
// ask for nothing.
#pragma once

#include <string>
#include <vector>

#include "engine/load_engine.h"
#include "server/app.h"

namespace pegainfer::apps {

struct StartupFacts {
  EngineInfo engine;
  std::string device;  // the backend's description
  std::string kv_dtype;
  int kv_tokens = 0;
  double full_length_requests = 0;
  double load_seconds = 0;
  int max_num_seqs = 0;            // 0: the engine's own choice
  int max_num_batched_tokens = 0;  // as well
  int max_queued_requests = 0;     // 0: no limit
  bool prefix_caching = true;
};
StartupFacts startup_facts(const EngineOptions& options, const LoadedEngine& loaded);

// One line each; the first is that of the address.
std::vector<std::string> startup_lines(const StartupFacts& facts, const server::ServedModel& model,
                                       const server::AppOptions& app, const std::string& url);
// To the log: the lines, and with --log-format json the figures as members of the first.
void log_startup(const StartupFacts& facts, const server::ServedModel& model, const server::AppOptions& app,
                 const std::string& url);

}  // namespace pegainfer::apps

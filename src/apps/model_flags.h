// The flags that say which model is loaded and how; `serve` and `generate` share them.
#pragma once

#include <optional>
#include <string>

#include "engine/load_engine.h"
#include "pegainfer/result.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps {

struct ModelFlags {
  EngineOptions engine;
  std::string max_model_len = "auto";
  std::string kv_cache_memory = "auto";
  std::optional<bool> async_scheduling;
  std::string log_level = "info";
  bool positional_model = true;
};

// `flags` must outlive the parsing.
void add_model_flags(CLI::App& command, ModelFlags& flags);
// After parsing: what the flags ask for; also sets the log level.
Result<EngineOptions> to_engine_options(const ModelFlags& flags);

}  // namespace pegainfer::apps

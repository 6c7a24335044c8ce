// plan_engine(): what a start would take of a machine's memory, and the speed its memory allows, from headers
// and configuration alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "backend/backend.h"
#include "engine/load_engine.h"
#include "pegainfer/result.h"
#include "runner/memory_plan.h"

namespace pegainfer {

struct EnginePlan {
  std::string architecture;
  std::string dtype;
  std::string kv_cache_dtype;
  bool config_only = false;       // no weights were found: shapes and dtype are the configuration's
  DeviceMemory memory;            // of the machine
  double memory_utilization = 0;  // 0: no share was given
  MemoryNeeds needs;
  int block_size = 0;
  int model_positions = 0;
  int max_model_len = 0;           // asked for; else the model's, or what fits
  std::optional<MemoryPlan> fits;  // the plan of a start
  std::string reason;              // why there is none
  int largest_max_model_len = 0;   // that would fit; 0: none

  // For the floor of a decoded token, one request: every weight that a token multiplies with, and the keys
  // and values behind it. Bytes over bandwidth is a bound that nothing undercuts, not a prediction.
  uint64_t decode_weight_bytes = 0;
  uint64_t kv_bytes_per_token = 0;
  uint64_t kv_read_bytes = 0;  // with max_model_len tokens of context (windows counted)
};

// An error: files, tensors or options are wrong. That it does not fit is none.
Result<EnginePlan> plan_engine(const EngineOptions& options, const Backend& backend);

}  // namespace pegainfer

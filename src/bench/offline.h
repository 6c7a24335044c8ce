// run_offline(): requests straight into an Engine, without HTTP and text.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "bench/outcome.h"
#include "bench/workload.h"
#include "pegainfer/engine.h"

namespace pegainfer::bench {

struct OfflineOptions {
  SamplingParams sampling;                            // max_tokens is the request's own
  std::function<void(size_t num_done)> on_done = {};  // on the calling thread
};

struct OfflineResult {
  std::vector<RequestOutcome> outcomes;
  double duration = 0;  // [s]
};

// All are submitted at once; returns when the last has ended. An error: the engine refused one.
Result<OfflineResult> run_offline(Engine& engine, const std::vector<BenchRequest>& requests,
                                  const OfflineOptions& options);

}  // namespace pegainfer::bench

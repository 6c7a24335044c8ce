// simulate(): the scheduler over a SimExecutor in virtual time: what a machine would do with a workload,
// without the machine and without waiting.
#pragma once

#include <cstdint>
#include <vector>

#include "bench/outcome.h"
#include "bench/workload.h"
#include "pegainfer/result.h"
#include "sim/profile.h"

namespace pegainfer::bench {

struct SimRunOptions {
  sim::SimProfile profile;
  int max_num_seqs = 256;
  int max_num_batched_tokens = 512;
  int max_concurrency = 0;  // as of a client; 0: no limit
  bool enable_prefix_caching = true;
  int depth = 2;
};

struct SimRunResult {
  std::vector<RequestOutcome> outcomes;  // start, ttft and latency as a client without network sees them
  double duration = 0;                   // [s] virtual
  uint64_t num_steps = 0;
  double busy_seconds = 0;  // of the device
  uint64_t num_preemptions = 0;
};

// Requests by arrival. An error: one that could never run.
Result<SimRunResult> simulate(const SimRunOptions& options, const std::vector<BenchRequest>& requests);

}  // namespace pegainfer::bench

// SimProfile: a machine with a model on it, as a handful of figures that give the time of a step.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pegainfer/result.h"
#include "scheduler/step_plan.h"

namespace pegainfer::sim {

// Zero means free: a profile of zeros takes no time.
struct SimProfile {
  std::string name;
  // The linear layers: read once a step, whatever its size.
  double weights_bytes = 0;
  double flops_per_token = 0;   // of a row, without the head
  double flops_per_sample = 0;  // of the head, for a row that samples
  double peak_flops = 0;        // [1/s] achieved by the linear layers on large steps
  // Attention: every sequence of a step reads the KV of its context and writes that of its new tokens.
  double kv_bytes_per_token = 0;
  double attention_flops_per_pair = 0;  // of one new token and one token of its context
  double attention_peak_flops = 0;      // [1/s]
  double bandwidth = 0;                 // [bytes/s] achieved when reading
  // 1: reading hides behind arithmetic or the other way round (a roofline); 0: the two times add up.
  double overlap = 1;
  double step_overhead_s = 0;  // launches, norms, sampling, the host's share
  double seq_overhead_s = 0;   // more for each sequence of a step
  // The model and its cache.
  int vocab_size = 32'000;
  int max_model_len = 32'768;
  int num_kv_blocks = 4'096;  // with the null block
  int block_size = 16;
};

// What a step moves and computes.
struct StepWork {
  int64_t num_tokens = 0;
  int64_t num_seqs = 0;
  int64_t num_samples = 0;
  int64_t kv_tokens = 0;        // read or written
  int64_t attention_pairs = 0;  // new token x token of its context, itself included
};

[[nodiscard]] StepWork work_of(const StepPlan& plan);
// linear + attention + overheads, where each of the first two is max(bytes / bandwidth, flops / peak) with
// `overlap` 1.
[[nodiscard]] double step_seconds(const SimProfile& profile, const StepWork& work);

// A built-in name, or the path of a JSON file with SimProfile's field names (those left out are as in the
// profile named by its "base", or zero).
Result<SimProfile> find_profile(const std::string& name_or_path);
Result<SimProfile> parse_profile(const std::string& json_text, const std::string& source);
[[nodiscard]] const std::vector<SimProfile>& builtin_profiles();

}  // namespace pegainfer::sim

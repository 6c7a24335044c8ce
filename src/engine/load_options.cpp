#include "engine/load_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "model/dummy_weights.h"

namespace pegainfer {
namespace {

struct StepSize {
  int max_num_seqs = 0;
  int max_num_batched_tokens = 0;
};

Result<StepSize> step_size(const EngineOptions& options, const Backend& backend) {
  for (const auto& [value, flag] : {std::pair{options.max_num_seqs, "--max-num-seqs"},
                                    std::pair{options.max_num_batched_tokens, "--max-num-batched-tokens"}})
    if (value < 0) return invalid_argument(fmt::format("{} is {}; it must be positive", flag, value), flag);
  StepSize size{options.max_num_seqs, options.max_num_batched_tokens};
  if (size.max_num_batched_tokens == 0)
    size.max_num_batched_tokens = std::max(backend.default_max_num_batched_tokens(), size.max_num_seqs);
  if (size.max_num_seqs == 0)
    size.max_num_seqs = std::min(EngineOptions::kDefaultMaxNumSeqs, size.max_num_batched_tokens);
  if (size.max_num_seqs > size.max_num_batched_tokens)
    return invalid_argument(
        fmt::format("--max-num-seqs is {}; it must be at most --max-num-batched-tokens, which is {}",
                    size.max_num_seqs, size.max_num_batched_tokens),
        "--max-num-seqs");
  return size;
}

}  // namespace

Status check_options(const EngineOptions& options) {
  if (!(options.gpu_memory_utilization >= 0 && options.gpu_memory_utilization <= 1))
    return invalid_argument(fmt::format("--gpu-memory-utilization is {}; it must be above 0 and at most 1",
                                        options.gpu_memory_utilization),
                            "--gpu-memory-utilization");
  if (options.load_format != "auto" && options.load_format != "dummy")
    return invalid_argument(fmt::format("--load-format is '{}', must be auto or dummy", options.load_format),
                            "--load-format");
  return ok_status();
}

Result<Checkpoint> open_checkpoint(const EngineOptions& options) {
  const bool dummy = options.load_format == "dummy";
  ASSIGN_OR_RETURN(const std::string path, resolve_model_path(options.model));
  auto checkpoint = Checkpoint::open(path, {.config_only = dummy});
  if (!dummy) return checkpoint;
  if (!checkpoint)
    return Error{checkpoint.error().code, "--load-format dummy: " + checkpoint.error().message, {}, {}};
  ASSIGN_OR_RETURN(checkpoint->tensors, configured_tensors(*checkpoint->config));
  return checkpoint;
}

Result<LoadOptions> to_load_options(const EngineOptions& options, const Backend& backend) {
  ASSIGN_OR_RETURN(const StepSize size, step_size(options, backend));
  // On the CPU the host's work takes its cores from the step it would be hidden behind, and a new request
  // waits for one step more (docs/performance/overlap.md).
  const bool overlap = options.async_scheduling.value_or(backend.name() != "cpu");
  // A GPU is there to be filled; the machine's own memory has other uses.
  constexpr double kShareOfADevice = 0.9;
  const bool is_device = !backend.memory().holds_staging;
  const double utilization = options.gpu_memory_utilization > 0 ? options.gpu_memory_utilization
                             : is_device                        ? kShareOfADevice
                                                                : 0;
  const bool dummy = options.load_format == "dummy";
  return LoadOptions{.dtype = options.dtype,
                     .kv_cache_dtype = options.kv_cache_dtype,
                     .max_model_len = options.max_model_len,
                     .max_num_seqs = size.max_num_seqs,
                     .max_num_batched_tokens = size.max_num_batched_tokens,
                     .block_size = options.block_size,
                     .kv_cache_memory_bytes = options.kv_cache_memory_bytes,
                     .memory_utilization = utilization,
                     .num_kv_blocks = options.num_kv_blocks,
                     .depth = overlap ? 2 : 1,
                     .enforce_eager = options.enforce_eager,
                     .dummy_seed = dummy ? std::optional(options.dummy_seed) : std::nullopt};
}

}  // namespace pegainfer

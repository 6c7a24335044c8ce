#include "engine/plan_engine.h"

#include <algorithm>
#include <utility>

#include "engine/load_options.h"
#include "model/dummy_weights.h"

namespace pegainfer {
namespace {

struct Opened {
  Checkpoint checkpoint;
  bool config_only = false;
};

// Weights are not needed: without them the configuration says what they would be.
Result<Opened> open_for_plan(EngineOptions options) {
  auto checkpoint = open_checkpoint(options);
  if (checkpoint) return Opened{*std::move(checkpoint), options.load_format == "dummy"};
  if (checkpoint.error().code != Code::kNotFound) return checkpoint.error();
  options.load_format = "dummy";
  auto configured = open_checkpoint(options);
  if (!configured) return checkpoint.error();
  return Opened{*std::move(configured), true};
}

// The whole of what a start does, with another length. Workspace and inputs depend on it as well, so the
// answer is looked for, not computed.
bool length_fits(const LoadPlan& plan, const Backend& backend, int length) {
  RunnerOptions options = plan.options;
  options.max_model_len = length;
  KvBudget budget = plan.budget;
  budget.shorten_context = false;
  return plan_memory(*plan.unbound, plan.weights.bytes, backend, budget, options).has_value();
}

int largest_length(const LoadPlan& plan, const Backend& backend) {
  int fits = 0;
  for (int fails = plan.config.max_position_embeddings + 1; fits + 1 < fails;) {
    const int middle = fits + (fails - fits) / 2;
    (length_fits(plan, backend, middle) ? fits : fails) = middle;
  }
  return fits;
}

// The embedding is looked up, not read, unless it is the head too.
uint64_t decode_weight_bytes(const LoadPlan& plan, const Backend& backend) {
  uint64_t bytes = 0;
  for (const auto& [name, weight] : plan.weights.weights) {
    if (name == "embedding" && !plan.config.tie_word_embeddings) continue;
    for (const PlannedPart& part : weight.parts)
      bytes += backend.packed_bytes(part.packed, part.rows, part.cols).value_or(0);
  }
  return bytes;
}

uint64_t kv_read_bytes(const ModelConfig& config, uint64_t bytes_per_token, int context) {
  const uint64_t of_layer = bytes_per_token / static_cast<uint64_t>(config.num_layers);
  uint64_t bytes = 0;
  for (size_t i = 0; i < static_cast<size_t>(config.num_layers); ++i) {
    const bool slides =
        config.sliding_window > 0 && (config.layer_uses_window.empty() || config.layer_uses_window[i]);
    bytes += of_layer * static_cast<uint64_t>(slides ? std::min(config.sliding_window, context) : context);
  }
  return bytes;
}

}  // namespace

Result<EnginePlan> plan_engine(const EngineOptions& options, const Backend& backend) {
  RETURN_IF_ERROR(check_options(options));
  ASSIGN_OR_RETURN(const Opened opened, open_for_plan(options));
  ASSIGN_OR_RETURN(const LoadOptions load, to_load_options(options, backend));
  ASSIGN_OR_RETURN(const LoadPlan plan, plan_load(backend, opened.checkpoint, load, false));

  EnginePlan out;
  out.architecture = plan.config.architecture_name;
  out.dtype = name_of(plan.arithmetic);
  out.kv_cache_dtype = name_of(plan.kv_dtype);
  out.config_only = opened.config_only;
  out.memory = backend.memory();
  out.memory_utilization = load.memory_utilization;
  out.needs = memory_needs(*plan.unbound, plan.weights.bytes, backend, plan.options);
  out.block_size = plan.options.block_size;
  out.model_positions = plan.config.max_position_embeddings;

  RunnerOptions runner = plan.options;
  auto memory = plan_memory(*plan.unbound, plan.weights.bytes, backend, plan.budget, runner);
  if (memory) {
    out.fits = *std::move(memory);
  } else {
    out.reason = memory.error().message;
  }
  out.max_model_len = runner.max_model_len;
  out.largest_max_model_len = largest_length(plan, backend);
  out.decode_weight_bytes = decode_weight_bytes(plan, backend);
  out.kv_bytes_per_token = out.needs.kv_block_bytes / static_cast<uint64_t>(out.block_size);
  out.kv_read_bytes = kv_read_bytes(plan.config, out.kv_bytes_per_token, out.max_model_len);
  return out;
}

}  // namespace pegainfer

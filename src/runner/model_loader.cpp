#include "runner/model_loader.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "model/dummy_weights.h"
#include "model/registry.h"

namespace pegainfer {

namespace {

Result<DType> parse_dtype(const std::string& text, DType automatic, const char* flag) {
  if (text == "auto") return automatic;
  if (text == "bfloat16") return DType::kBF16;
  if (text == "float32") return DType::kF32;
  return invalid_argument(fmt::format("{} is '{}', must be auto, bfloat16 or float32", flag, text), flag);
}

Status check_positive(int value, const char* flag) {
  if (value > 0) return ok_status();
  return invalid_argument(fmt::format("{} is {}, must be positive", flag, value), flag);
}

Status check_options(const LoadOptions& options, const ModelConfig& config) {
  RETURN_IF_ERROR(check_positive(options.max_num_seqs, "--max-num-seqs"));
  RETURN_IF_ERROR(check_positive(options.max_num_batched_tokens, "--max-num-batched-tokens"));
  if (options.block_size <= 0 || options.block_size % 16 != 0)
    return invalid_argument(fmt::format("--block-size is {}, must be a multiple of 16", options.block_size),
                            "--block-size");
  if (options.max_model_len < 0 || options.max_model_len > config.max_position_embeddings)
    return invalid_argument(fmt::format("--max-model-len is {}, the model has {} positions",
                                        options.max_model_len, config.max_position_embeddings),
                            "--max-model-len");
  return ok_status();
}

std::string decimal_bytes(double bytes) {
  return bytes >= 1e9 ? fmt::format("{:.2f} GB", bytes / 1e9) : fmt::format("{:.1f} MB", bytes / 1e6);
}

void log_load(uint64_t bytes, double seconds) {
  const auto b = static_cast<double>(bytes);
  LOG_INFO("weights: {} in {:.2f} s, {:.1f} GB/s", decimal_bytes(b), seconds, b / 1e9 / seconds);
}

}  // namespace

Result<LoadPlan> plan_load(const Backend& backend, const Checkpoint& checkpoint, const LoadOptions& options,
                           bool read_values) {
  CHECK(checkpoint.config.has_value() && checkpoint.tensors != nullptr, "opened without weights");
  LoadPlan out;
  out.config = *checkpoint.config;
  RETURN_IF_ERROR(check_options(options, out.config));
  ASSIGN_OR_RETURN(out.arithmetic,
                   parse_dtype(options.dtype, default_arithmetic(*checkpoint.tensors), "--dtype"));
  ASSIGN_OR_RETURN(out.kv_dtype, parse_dtype(options.kv_cache_dtype, out.arithmetic, "--kv-cache-dtype"));
  ASSIGN_OR_RETURN(out.definition, find_model(out.config));
  ASSIGN_OR_RETURN(out.weights,
                   plan_model(*out.definition, checkpoint, out.arithmetic, backend, read_values));

  out.options = {
      .arithmetic = out.arithmetic,
      .kv_dtype = out.kv_dtype,
      .max_num_seqs = options.max_num_seqs,
      .max_num_batched_tokens = options.max_num_batched_tokens,
      .max_model_len = options.max_model_len > 0 ? options.max_model_len : out.config.max_position_embeddings,
      .block_size = options.block_size,
      .num_blocks = 0,
      .depth = options.depth,
      .head_rows = backend.head_rows()};
  out.options.graph_buckets = options.graph_buckets;
  out.options.enforce_eager = options.enforce_eager;
  if (options.graph_buckets.empty() && backend.prefers_graphs())
    out.options.graph_buckets = default_graph_buckets(options.max_num_seqs);
  out.budget = {.memory_bytes = options.kv_cache_memory_bytes,
                .memory_utilization = options.memory_utilization,
                .num_blocks = options.num_kv_blocks,
                .shorten_context = options.max_model_len == 0};
  auto* const no_memory =
      reinterpret_cast<std::byte*>(Arena::kAlignment);  // NOLINT(performance-no-int-to-ptr)
  out.unbound = out.definition->create(out.config, WeightMap(out.weights, no_memory));
  return out;
}

Result<LoadedModel> load_model(Backend& backend, const Checkpoint& checkpoint, const LoadOptions& options,
                               const LoadProgress& progress) {
  ASSIGN_OR_RETURN(LoadPlan plan, plan_load(backend, checkpoint, options));
  const WeightPlan& weights = plan.weights;
  LoadedModel out;
  out.config = plan.config;
  out.arithmetic = plan.arithmetic;
  out.kv_dtype = plan.kv_dtype;
  ASSIGN_OR_RETURN(out.memory, plan_memory(*plan.unbound, weights.bytes, backend, plan.budget, plan.options));
  out.options = plan.options;

  ASSIGN_OR_RETURN(out.weights, backend.allocate(weights.bytes));
  const Stopwatch watch;
  if (options.dummy_seed) {
    fill_dummy_weights(weights, backend, out.weights.bytes(), *options.dummy_seed, progress);
    LOG_WARN("the weights are made up (seed {}): {} in {:.2f} s", *options.dummy_seed,
             decimal_bytes(static_cast<double>(weights.checkpoint_bytes)), watch.seconds());
  } else {
    RETURN_IF_ERROR(
        load_weights(weights, *checkpoint.tensors, backend, out.weights.bytes(), {.progress = progress}));
    log_load(weights.checkpoint_bytes, watch.seconds());
  }
  out.model = plan.definition->create(out.config, WeightMap(weights, out.weights.data()));
  ASSIGN_OR_RETURN(out.runner, ModelRunner::create(backend, *out.model, out.options));
  return out;
}

}  // namespace pegainfer

#include "runner/model_runner.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace pegainfer {

KvCacheView kv_cache_shape(const ModelConfig& config, const RunnerOptions& options) {
  return {.data = nullptr,
          .dtype = options.kv_dtype,
          .num_layers = config.num_layers,
          .num_blocks = options.num_blocks,
          .block_size = options.block_size,
          .num_kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim};
}

StepLimits step_limits(const ModelConfig& config, const RunnerOptions& options) {
  const int max_seqs = std::min(options.max_num_seqs, options.max_num_batched_tokens);
  return {.max_tokens = options.max_num_batched_tokens,
          .max_seqs = max_seqs,
          .max_logits = options.max_num_batched_tokens,
          .max_context = options.max_model_len,
          .num_heads = config.num_heads,
          .num_kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim,
          .max_linear_cols =
              std::max({config.hidden_size, config.intermediate_size, config.num_heads * config.head_dim}),
          .vocab_size = config.vocab_size};
}

Result<std::unique_ptr<ModelRunner>> ModelRunner::create(Backend& backend, const Model& model,
                                                         const RunnerOptions& options) {
  CHECK(options.max_num_seqs > 0 && options.max_num_batched_tokens > 0 && options.max_model_len > 0 &&
            options.block_size > 0 && options.block_size % 16 == 0 && options.num_blocks > 1 &&
            options.depth >= 1 && options.depth <= 2,
        "{} sequences, {} tokens, length {}, {} blocks of {}, depth {}", options.max_num_seqs,
        options.max_num_batched_tokens, options.max_model_len, options.num_blocks, options.block_size,
        options.depth);
  RETURN_IF_ERROR(backend.reserve(step_limits(model.config(), options)));
  std::unique_ptr<ModelRunner> runner(new ModelRunner(backend, model, options));
  for (int i = 0; i < options.depth; ++i) {
    ASSIGN_OR_RETURN(InputBatch inputs, InputBatch::create(backend, options.batch_limits()));
    runner->launches_.push_back(std::make_unique<Launch>(*runner, std::move(inputs), backend.make_event()));
  }
  const KvCacheView& kv = runner->kv_;
  const size_t kv_bytes =
      static_cast<size_t>(kv.num_layers) * static_cast<size_t>(kv.num_blocks) * kv.bytes_per_block();
  ASSIGN_OR_RETURN(runner->kv_memory_, backend.allocate(kv_bytes));
  ASSIGN_OR_RETURN(runner->workspace_, backend.allocate(plan_workspace(model, options)));
  runner->kv_.data = runner->kv_memory_.data();
  runner->arena_ = Arena(runner->workspace_.bytes());
  return runner;
}

ModelRunner::ModelRunner(Backend& backend, const Model& model, const RunnerOptions& options)
    : backend_(backend),
      model_(model),
      options_(options),
      kv_(kv_cache_shape(model.config(), options)),
      arena_(std::span<std::byte>{}) {}

ModelRunner::~ModelRunner() {
  for (uint64_t n = num_collected_; n < num_launched_; ++n) launch_at(n).done->wait();
}

void ModelRunner::Launch::run() {
  inputs.upload();
  run_step(runner.model_, runner.backend_.ops(), runner.arena_, runner.options_.arithmetic, step);
  inputs.fetch();
}

// Without overlap the step runs on this thread: a stream of its own would only cost the way there and back.
void ModelRunner::launch(const StepPlan& plan) {
  CHECK(num_launched_ - num_collected_ < launches_.size(), "{} launches were not collected",
        num_launched_ - num_collected_);
  Launch& launch = launch_at(num_launched_);
  const bool has_previous = num_launched_ > num_collected_;
  const InputBatch* previous = has_previous ? &launch_at(num_launched_ - 1).inputs : nullptr;
  launch.step = launch.inputs.stage(plan, kv_, model_.config().vocab_size, previous);
  if (options_.depth == 1) {
    launch.run();
  } else {
    backend_.submit(launch);
  }
  backend_.record_into(*launch.done);
  ++num_launched_;
}

void ModelRunner::collect(StepResult& result) {
  CHECK(num_launched_ > num_collected_, "no step was launched");
  Launch& launch = launch_at(num_collected_);
  launch.done->wait();
  launch.inputs.results(result);
  ++num_collected_;
}

}  // namespace pegainfer

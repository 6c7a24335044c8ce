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
            options.block_size > 0 && options.block_size % 16 == 0 && options.num_blocks > 1,
        "{} sequences, {} tokens, length {}, {} blocks of {}", options.max_num_seqs,
        options.max_num_batched_tokens, options.max_model_len, options.num_blocks, options.block_size);
  RETURN_IF_ERROR(backend.reserve(step_limits(model.config(), options)));
  ASSIGN_OR_RETURN(InputBatch inputs, InputBatch::create(backend, options.batch_limits()));
  std::unique_ptr<ModelRunner> runner(new ModelRunner(backend, model, options, std::move(inputs)));
  const KvCacheView& kv = runner->kv_;
  const size_t kv_bytes =
      static_cast<size_t>(kv.num_layers) * static_cast<size_t>(kv.num_blocks) * kv.bytes_per_block();
  ASSIGN_OR_RETURN(runner->kv_memory_, backend.allocate(kv_bytes));
  ASSIGN_OR_RETURN(runner->workspace_, backend.allocate(plan_workspace(model, options)));
  runner->kv_.data = runner->kv_memory_.data();
  runner->arena_ = Arena(runner->workspace_.bytes());
  return runner;
}

ModelRunner::ModelRunner(Backend& backend, const Model& model, const RunnerOptions& options,
                         InputBatch inputs)
    : backend_(backend),
      model_(model),
      options_(options),
      kv_(kv_cache_shape(model.config(), options)),
      inputs_(std::move(inputs)),
      arena_(std::span<std::byte>{}) {}

void ModelRunner::launch(const StepPlan& plan) {
  CHECK(in_flight_ == nullptr, "the last step was not collected");
  const StepTensors step = inputs_.stage(plan, kv_, model_.config().vocab_size);
  run_step(model_, backend_.ops(), arena_, options_.arithmetic, step);
  inputs_.fetch();
  in_flight_ = backend_.record();
}

void ModelRunner::collect(StepResult& result) {
  CHECK(in_flight_ != nullptr, "no step was launched");
  in_flight_->wait();
  in_flight_.reset();
  inputs_.results(result);
}

}  // namespace pegainfer

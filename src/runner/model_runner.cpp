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

std::vector<int> default_graph_buckets(int max_num_seqs) {
  std::vector<int> buckets;
  for (const int size :
       {1, 2, 4, 8, 12, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512})
    if (size < max_num_seqs) buckets.push_back(size);
  if (max_num_seqs <= 512) buckets.push_back(max_num_seqs);
  return buckets;
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
  ASSIGN_OR_RETURN(runner->blocks_,
                   StepBlocks::create(backend, options.batch_limits(model.config().vocab_size)));
  for (int i = 0; i < options.depth; ++i) {
    ASSIGN_OR_RETURN(
        InputBatch inputs,
        InputBatch::create(backend, options.batch_limits(model.config().vocab_size), runner->blocks_));
    runner->launches_.push_back(std::make_unique<Launch>(*runner, std::move(inputs), backend.make_event()));
  }
  const KvCacheView& kv = runner->kv_;
  const size_t kv_bytes =
      static_cast<size_t>(kv.num_layers) * static_cast<size_t>(kv.num_blocks) * kv.bytes_per_block();
  ASSIGN_OR_RETURN(runner->kv_memory_, backend.allocate(kv_bytes));
  ASSIGN_OR_RETURN(runner->workspace_, backend.allocate(plan_workspace(model, options)));
  runner->kv_.data = runner->kv_memory_.data();
  runner->arena_ = Arena(runner->workspace_.bytes());
  if (!options.graph_buckets.empty()) {
    RETURN_IF_ERROR(runner->warm_up());
    if (!options.enforce_eager) runner->capture_graphs();
  }
  RETURN_IF_ERROR(backend.health());
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
  if (graph != nullptr) {
    graph->launch();
  } else {
    runner.compute(step);
  }
  inputs.fetch();
}

void ModelRunner::compute(const StepTensors& step) {
  run_step(model_, backend_.ops(), arena_, options_.arithmetic, options_.head_rows, step);
}

// Steps of the sizes that will come, over the null block: a backend that chooses algorithms by trying them,
// or loads code at first use, does so now.
Status ModelRunner::warm_up() {
  StepResult unused;
  backend_.begin_warm_up();
  for (int tokens = options_.max_num_batched_tokens; tokens > 0; tokens /= 2) {
    StepPlan plan;
    plan.num_tokens = std::min(tokens, options_.max_model_len);
    plan.token_ids.assign(static_cast<size_t>(plan.num_tokens), 0);
    const int blocks = (plan.num_tokens + options_.block_size - 1) / options_.block_size;
    for (int b = 0; b < blocks; ++b) plan.block_ids.push_back(1 + b % (options_.num_blocks - 1));
    plan.seqs.push_back({.num_tokens = plan.num_tokens, .num_blocks = blocks, .sample = true});
    launch(plan);
    collect(unused);
    RETURN_IF_ERROR(backend_.health());
  }
  for (const int bucket : options_.graph_buckets) {
    StepPlan plan;
    plan.num_tokens = 1;
    plan.token_ids = {0};
    plan.block_ids = {1};
    plan.seqs.push_back({.num_tokens = 1, .num_blocks = 1, .sample = true});
    Launch& one = *launches_.front();
    one.step = one.inputs.stage(plan, kv_, model_.config().vocab_size, nullptr, bucket);
    one.run();
    backend_.record_into(*one.done);
    one.done->wait();
    RETURN_IF_ERROR(backend_.health());
  }
  return backend_.end_warm_up();
}

// The largest first: what a graph needs of the driver's memory is then there for the smaller ones.
void ModelRunner::capture_graphs() {
  const InputBatch& inputs = launches_.front()->inputs;
  for (auto bucket = options_.graph_buckets.rbegin(); bucket != options_.graph_buckets.rend(); ++bucket) {
    const StepTensors step = inputs.bucket_tensors(*bucket, kv_);
    graphs_[*bucket] = backend_.capture([this, step] { compute(step); });
  }
}

int ModelRunner::bucket_of(const StepPlan& plan) const {
  const auto bucket = graphs_.lower_bound(static_cast<int>(plan.seqs.size()));
  return bucket != graphs_.end() && InputBatch::fits_a_bucket(plan) ? bucket->first : 0;
}

// Without overlap the step runs on this thread: a stream of its own would only cost the way there and back.
void ModelRunner::launch(const StepPlan& plan) {
  CHECK(num_launched_ - num_collected_ < launches_.size(), "{} launches were not collected",
        num_launched_ - num_collected_);
  Launch& launch = launch_at(num_launched_);
  const bool has_previous = num_launched_ > num_collected_;
  const InputBatch* previous = has_previous ? &launch_at(num_launched_ - 1).inputs : nullptr;
  const int bucket = bucket_of(plan);
  launch.graph = bucket > 0 ? graphs_.at(bucket).get() : nullptr;
  launch.step = launch.inputs.stage(plan, kv_, model_.config().vocab_size, previous, bucket);
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

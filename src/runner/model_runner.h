// ModelRunner: the device state of one model being run: KV cache, step inputs, workspace. With depth 2 a step
// is staged and launched while the one before runs; each has staging memory of its own, what is on the device
// is shared, for steps run in order.
//
// Where launching kernels costs more than running them (a GPU), steps in which every sequence has one token
// are padded to the next of a few sizes, and each size is captured into a graph at start-up.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "model/model.h"
#include "runner/input_batch.h"
#include "runner/step_executor.h"

namespace pegainfer {

struct RunnerOptions {
  DType arithmetic = DType::kBF16;
  DType kv_dtype = DType::kBF16;
  int max_num_seqs = 0;
  int max_num_batched_tokens = 0;
  int max_model_len = 0;
  int block_size = 0;
  int num_blocks = 0;                      // block 0 is the null block: it holds no sequence's positions
  int depth = 1;                           // launches under way at once: 1 or 2
  int head_rows = StepTensors::kHeadRows;  // of logits in memory at a time
  std::vector<int> graph_buckets;          // sequences, ascending; empty: every step is eager
  bool enforce_eager = false;              // what graph_buckets need is warmed up, and nothing captured

  [[nodiscard]] InputBatchLimits batch_limits(int vocab_size) const {
    return {.max_num_seqs = max_num_seqs,
            .max_num_batched_tokens = max_num_batched_tokens,
            .max_blocks_per_seq = (max_model_len + block_size - 1) / block_size,
            .vocab_size = vocab_size,
            .logits_work = logits_work_limits(std::min(max_num_seqs, max_num_batched_tokens), vocab_size)};
  }
};

// The KV cache that a model needs under these options; data is null.
KvCacheView kv_cache_shape(const ModelConfig& config, const RunnerOptions& options);

// The sizes that decode steps are padded to, up to max_num_seqs: close together where a step is short.
std::vector<int> default_graph_buckets(int max_num_seqs);

// The largest step under these options.
StepLimits step_limits(const ModelConfig& config, const RunnerOptions& options);

// Bytes of activations the largest step takes: found by a dry run, no memory is touched.
size_t plan_workspace(const Model& model, const RunnerOptions& options);

class ModelRunner final : public StepExecutor {
 public:
  // The model and backend must outlive the runner. Allocates everything a step needs.
  static Result<std::unique_ptr<ModelRunner>> create(Backend& backend, const Model& model,
                                                     const RunnerOptions& options);
  ~ModelRunner() override;  // waits for the steps under way
  ModelRunner(const ModelRunner&) = delete;
  ModelRunner& operator=(const ModelRunner&) = delete;

  void launch(const StepPlan& plan) override;
  void collect(StepResult& result) override;
  [[nodiscard]] int depth() const override { return options_.depth; }
  [[nodiscard]] Status health() const override { return backend_.health(); }

  [[nodiscard]] const RunnerOptions& options() const { return options_; }
  [[nodiscard]] const KvCacheView& kv_cache() const { return kv_; }

 private:
  // One of the `depth` launches that may be under way.
  struct Launch final : StreamTask {
    Launch(ModelRunner& owner, InputBatch batch, std::unique_ptr<Event> event)
        : runner(owner), inputs(std::move(batch)), done(std::move(event)) {}
    void run() override;  // on the backend's stream

    ModelRunner& runner;
    InputBatch inputs;
    StepTensors step;
    Graph* graph = nullptr;  // of the step's bucket; null: it runs eagerly
    std::unique_ptr<Event> done;
  };

  ModelRunner(Backend& backend, const Model& model, const RunnerOptions& options);
  void compute(const StepTensors& step);
  Status warm_up();
  void capture_graphs();
  [[nodiscard]] int bucket_of(const StepPlan& plan) const;  // 0: eager
  [[nodiscard]] Launch& launch_at(uint64_t number) { return *launches_[number % launches_.size()]; }

  Backend& backend_;
  const Model& model_;
  RunnerOptions options_;
  Buffer kv_memory_;
  Buffer workspace_;
  KvCacheView kv_;
  Arena arena_;
  StepBlocks blocks_;
  std::map<int, std::unique_ptr<Graph>> graphs_;   // by bucket
  std::vector<std::unique_ptr<Launch>> launches_;  // launch n is launches_[n % depth]
  uint64_t num_launched_ = 0;
  uint64_t num_collected_ = 0;
};

}  // namespace pegainfer

// ModelRunner: the device state of one model being run: KV cache, step inputs, workspace.
#pragma once

#include <deque>
#include <memory>

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
  int num_blocks = 0;  // block 0 is the null block: it holds no sequence's positions
  int depth = 1;       // launches under way at once: 1 or 2

  [[nodiscard]] InputBatchLimits batch_limits() const {
    return {.max_num_seqs = max_num_seqs,
            .max_num_batched_tokens = max_num_batched_tokens,
            .max_blocks_per_seq = (max_model_len + block_size - 1) / block_size};
  }
};

// The KV cache that a model needs under these options; data is null.
KvCacheView kv_cache_shape(const ModelConfig& config, const RunnerOptions& options);

// The largest step under these options.
StepLimits step_limits(const ModelConfig& config, const RunnerOptions& options);

// Bytes of activations the largest step takes: found by a dry run, no memory is touched.
size_t plan_workspace(const Model& model, const RunnerOptions& options);

class ModelRunner final : public StepExecutor {
 public:
  // The model and backend must outlive the runner. Allocates everything a step needs.
  static Result<std::unique_ptr<ModelRunner>> create(Backend& backend, const Model& model,
                                                     const RunnerOptions& options);

  void launch(const StepPlan& plan) override;
  void collect(StepResult& result) override;
  [[nodiscard]] int depth() const override { return 1; }

  [[nodiscard]] const RunnerOptions& options() const { return options_; }

 private:
  ModelRunner(Backend& backend, const Model& model, const RunnerOptions& options, InputBatch inputs);

  Backend& backend_;
  const Model& model_;
  RunnerOptions options_;
  Buffer kv_memory_;
  Buffer workspace_;
  KvCacheView kv_;
  InputBatch inputs_;
  Arena arena_;
  std::unique_ptr<Event> in_flight_;  // the end of the uncollected launch
};

}  // namespace pegainfer

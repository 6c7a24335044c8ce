// load_model(): from an opened checkpoint to a runner that takes steps. Everything is planned and checked
// before the first large allocation.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/checkpoint.h"
#include "model/model.h"
#include "model/registry.h"
#include "model/weight_loader.h"
#include "pegainfer/result.h"
#include "runner/memory_plan.h"
#include "runner/model_runner.h"

namespace pegainfer {

struct LoadOptions {
  std::string dtype = "auto";           // the arithmetic: auto, bfloat16, float32
  std::string kv_cache_dtype = "auto";  // auto (the arithmetic), bfloat16, float32
  int max_model_len = 0;                // 0: the model's, or what fits into memory
  int max_num_seqs = 256;
  int max_num_batched_tokens = 2048;
  int block_size = 16;
  size_t kv_cache_memory_bytes = 0;  // 0: chosen from the memory that is available
  double memory_utilization = 0;     // of KvBudget
  int num_kv_blocks = 0;             // > 0: so many blocks instead
  int depth = 1;                     // of RunnerOptions
  bool enforce_eager = false;        // no graphs, also where the backend prefers them
  std::vector<int>
      graph_buckets;  // of RunnerOptions; empty: the usual ones, where the backend prefers graphs
  std::optional<uint64_t> dummy_seed;  // made-up weights of this seed; the checkpoint's tensors are not read
};

// What a load will do, before anything is allocated or read: shapes, sizes and the options of the runner.
struct LoadPlan {
  ModelConfig config;
  DType arithmetic = DType::kBF16;
  DType kv_dtype = DType::kBF16;
  const ModelDefinition* definition = nullptr;
  WeightPlan weights;
  std::unique_ptr<Model> unbound;  // over weights that are not there
  RunnerOptions options;           // num_blocks is plan_memory()'s
  KvBudget budget;
};

// The checkpoint must outlive the plan. `read_values`: tensors may be read to be compared (a tied head that
// is stored twice); false: headers are all that is looked at.
Result<LoadPlan> plan_load(const Backend& backend, const Checkpoint& checkpoint, const LoadOptions& options,
                           bool read_values = true);

struct LoadedModel {  // members in order of dependence: the runner goes first
  ModelConfig config;
  DType arithmetic = DType::kBF16;
  DType kv_dtype = DType::kBF16;
  MemoryPlan memory;
  RunnerOptions options;
  Buffer weights;
  std::unique_ptr<Model> model;
  std::unique_ptr<ModelRunner> runner;
};

// The backend must outlive the result; the checkpoint need not.
Result<LoadedModel> load_model(Backend& backend, const Checkpoint& checkpoint, const LoadOptions& options,
                               const LoadProgress& progress);

}  // namespace pegainfer

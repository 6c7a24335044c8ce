// load_engine(): from a model's name to an engine that answers. Files, tensors and memory are checked before
// the first large allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/model_config.h"
#include "engine/llm_engine.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"
#include "runner/model_loader.h"

namespace pegainfer {

// Names are those of the flags. A zero or an empty string leaves the choice to us.
struct EngineOptions {
  std::string model;                    // a path (directory or .gguf file) or a hub name, looked up offline
  std::string served_model_name;        // empty: default_model_name(model)
  std::string load_format = "auto";     // auto: what the model has; dummy: made-up weights
  uint64_t dummy_seed = 0;              // of those
  std::string device = "auto";          // auto, cpu, cuda
  std::string dtype = "auto";           // the arithmetic: auto, bfloat16, float32
  std::string kv_cache_dtype = "auto";  // auto (the arithmetic), bfloat16, float32
  int threads = 0;                      // 0: all physical cores
  int max_model_len = 0;                // 0: the model's, or what fits into memory
  int max_num_seqs = 0;                 // 0: kDefaultMaxNumSeqs, or max_num_batched_tokens when that is less
  int max_num_batched_tokens = 0;       // 0: the backend's default
  int block_size = 16;
  size_t kv_cache_memory_bytes = 0;   // 0: by the next, or chosen from what is available
  double gpu_memory_utilization = 0;  // (0, 1]: the share of the memory to take in all; 0: ours (a GPU: 0.9)
  int num_kv_blocks = 0;              // > 0: so many blocks instead
  int max_queued_requests = kDefaultMaxQueuedRequests;  // that wait, beyond max_num_seqs; 0: no limit
  int64_t max_queued_tokens = 0;                        // prompt tokens of those that wait; 0: no limit
  bool enable_prefix_caching = true;
  std::optional<bool> async_scheduling;  // plan a step while the one before runs; empty: where it pays
  std::optional<uint64_t> seed;          // of requests that bring none
  bool enforce_eager = false;            // no captured graphs, also on a GPU
  bool check_ops = false;                // every op's arguments are checked
  // See LlmEngineOptions.
  std::vector<std::shared_ptr<EngineObserver>> observers;
  std::function<void(const std::string& reason)> on_dead;

  static constexpr int kDefaultMaxNumSeqs = 256;
  static constexpr int kDefaultMaxQueuedRequests = 4096;
};

// The last part of a path without ".gguf"; a hub name as it is.
std::string default_model_name(const std::string& model);

enum class LoadPhase : uint8_t {
  kOpening,   // finding and validating the files
  kWeights,   // bytes say how far
  kStarting,  // tokenizer, KV cache, threads
};
struct EngineLoadProgress {
  LoadPhase phase = LoadPhase::kOpening;
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;  // 0: not known yet
};
// Called on the thread that loads.
using EngineProgress = std::function<void(const EngineLoadProgress&)>;

// An engine and what it stands on, in order of dependence. Whoever hands `engine` on as a shared pointer lets
// it share the life of the whole: std::shared_ptr<Engine>(loaded, loaded->engine.get()).
struct LoadedEngine {
  LoadedEngine() = default;
  LoadedEngine(LoadedEngine&&) = default;
  LoadedEngine& operator=(LoadedEngine&&) = delete;  // would destroy members in the wrong order

  std::unique_ptr<Backend> backend;
  LoadedModel model;  // its runner belongs to the engine
  std::shared_ptr<const Tokenizer> tokenizer;
  std::unique_ptr<LlmEngine> engine;
  GenerationDefaults generation;
  std::string chat_template;  // this and the next two: as in Checkpoint
  std::string tool_template;
  std::map<std::string, std::string> special_tokens;
  MemoryPlan memory;
  double load_seconds = 0;
};

Result<LoadedEngine> load_engine(const EngineOptions& options, const EngineProgress& progress);

}  // namespace pegainfer

// MemoryPlan: what a model takes before anything is allocated, and how much of the machine is left for the KV
// cache.
#pragma once

#include <cstddef>
#include <string>

#include "backend/backend.h"
#include "model/model.h"
#include "pegainfer/result.h"
#include "runner/model_runner.h"

namespace pegainfer {

struct KvBudget {
  size_t memory_bytes = 0;  // 0: chosen from what is available
  // > 0, and memory_bytes 0: the share that everything together may take: on the CPU of what is available, on
  // a device of all it has, as far as it is there.
  double memory_utilization = 0;
  int num_blocks = 0;            // > 0: so many, whatever memory_bytes says
  bool shorten_context = false;  // max_model_len may be lowered to what fits
};

struct MemoryPlan {
  size_t weights_bytes = 0;
  size_t workspace_bytes = 0;  // activations, what ops need, inputs and outputs of the steps under way
  size_t kv_bytes = 0;
  size_t available_bytes = 0;  // before loading
  int num_blocks = 0;          // the null block included
  int block_size = 0;
  int max_model_len = 0;
  bool context_shortened = false;

  [[nodiscard]] int kv_tokens() const { return (num_blocks - 1) * block_size; }
  // How many requests of max_model_len tokens the cache holds at once.
  [[nodiscard]] double full_length_requests() const {
    return static_cast<double>(kv_tokens()) / static_cast<double>(max_model_len);
  }
  [[nodiscard]] std::string describe() const;  // one line for the log
};

// What the plan is made of.
struct MemoryNeeds {
  size_t weights_bytes = 0;
  size_t workspace_bytes = 0;
  size_t kv_block_bytes = 0;
  [[nodiscard]] size_t fixed() const { return weights_bytes + workspace_bytes; }
  [[nodiscard]] size_t kv_bytes(int tokens, int block_size) const;  // the null block included
};
MemoryNeeds memory_needs(const Model& model, size_t weights_bytes, const Backend& backend,
                         const RunnerOptions& options);

// Fills options.num_blocks and, where the budget allows, lowers options.max_model_len. `model` may be bound
// to memory that is not there yet. An error says what is needed, what is there and what would fit.
Result<MemoryPlan> plan_memory(const Model& model, size_t weights_bytes, const Backend& backend,
                               const KvBudget& budget, RunnerOptions& options);

std::string human_bytes(size_t bytes);  // "93.8 MiB"

}  // namespace pegainfer

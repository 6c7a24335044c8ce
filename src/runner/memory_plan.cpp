#include "runner/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "backend/cuda_layout.h"

namespace pegainfer {

namespace {

constexpr size_t kUsualKvBytes = size_t{4} << 30U;  // enough for most; more only when asked or needed
constexpr int kLeastContext = 1024;                 // a context shortened below this serves nobody

int64_t blocks_for(int64_t tokens, int block_size) { return (tokens + block_size - 1) / block_size; }

// Blocks without the null block that the budget gives; may be less than a request needs.
int64_t blocks_within(const KvBudget& budget, const RunnerOptions& options, size_t block_bytes, size_t left) {
  const int64_t most = std::numeric_limits<int32_t>::max() / options.block_size - 1;  // slots are 32-bit
  if (budget.num_blocks > 0) return std::min<int64_t>(budget.num_blocks - 1, most);
  if (budget.memory_bytes > 0)
    return std::min(static_cast<int64_t>(budget.memory_bytes / block_bytes) - 1, most);
  const int64_t one_request = blocks_for(options.max_model_len, options.block_size);
  const int64_t all_requests = one_request * options.max_num_seqs;
  const size_t one_request_bytes = static_cast<size_t>(one_request + 1) * block_bytes;
  const size_t usual = std::min(std::max(kUsualKvBytes, one_request_bytes), left / 2);
  auto fit = static_cast<int64_t>(usual / block_bytes) - 1;
  if (!budget.shorten_context && one_request_bytes <= left)
    fit = std::max(fit, one_request);  // it was asked for
  return std::min({all_requests, fit, most});
}

// All that a step takes besides weights and KV: activations, logits and the head's slices (a dry run),
// whatever the ops need (sampling scratch among it), and the inputs and outputs of a step, with
// log-probabilities of every row; their staging for each launch under way.
size_t step_bytes(const Model& model, const Backend& backend, const DeviceMemory& memory,
                  const RunnerOptions& options) {
  const size_t inputs = InputBatch::device_bytes(options.batch_limits(model.config().vocab_size));
  const size_t staging = memory.holds_staging ? static_cast<size_t>(options.depth) * inputs : 0;
  return plan_workspace(model, options) + backend.reserve_bytes(step_limits(model.config(), options)) +
         inputs + staging;
}

// On a device the share is of all it has, for this process alone, as vLLM means it: what the driver has taken
// for us is part of it. Where others have been first it is what is left, less a little.
size_t share_of(const DeviceMemory& memory, double utilization) {
  constexpr double kMostOfWhatIsLeft = 0.95;
  const auto available = static_cast<double>(memory.available_bytes);
  if (memory.holds_staging) return static_cast<size_t>(utilization * available);
  const size_t taken = memory.total_bytes - std::min(memory.total_bytes, memory.available_bytes);
  const auto ours = static_cast<double>(std::min(taken, kCudaContextBytes));
  const double share = utilization * static_cast<double>(memory.total_bytes) - ours;
  return static_cast<size_t>(std::clamp(share, 0.0, kMostOfWhatIsLeft * available));
}

std::string sizes_text(const MemoryPlan& plan) {
  return fmt::format("weights {}, workspace {}", human_bytes(plan.weights_bytes),
                     human_bytes(plan.workspace_bytes));
}

}  // namespace

std::string human_bytes(size_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (bytes >= size_t{1} << 30U) return fmt::format("{:.2f} GiB", b / (1U << 30U));
  if (bytes >= size_t{1} << 20U) return fmt::format("{:.1f} MiB", b / (1U << 20U));
  return fmt::format("{:.1f} KiB", b / 1024);
}

std::string MemoryPlan::describe() const {
  return fmt::format(
      "memory: weights {}, workspace {}, KV cache {} ({} tokens, {:.1f} requests of {} tokens); {} were "
      "available",
      human_bytes(weights_bytes), human_bytes(workspace_bytes), human_bytes(kv_bytes), kv_tokens(),
      full_length_requests(), max_model_len, human_bytes(available_bytes));
}

size_t MemoryNeeds::kv_bytes(int tokens, int block_size) const {
  return static_cast<size_t>(blocks_for(tokens, block_size) + 1) * kv_block_bytes;
}

MemoryNeeds memory_needs(const Model& model, size_t weights_bytes, const Backend& backend,
                         const RunnerOptions& options) {
  return {.weights_bytes = weights_bytes,
          .workspace_bytes = step_bytes(model, backend, backend.memory(), options),
          .kv_block_bytes = static_cast<size_t>(model.config().num_layers) *
                            kv_cache_shape(model.config(), options).bytes_per_block()};
}

Result<MemoryPlan> plan_memory(const Model& model, size_t weights_bytes, const Backend& backend,
                               const KvBudget& budget, RunnerOptions& options) {
  const DeviceMemory memory = backend.memory();
  const MemoryNeeds needs = memory_needs(model, weights_bytes, backend, options);
  MemoryPlan plan{.weights_bytes = needs.weights_bytes,
                  .workspace_bytes = needs.workspace_bytes,
                  .available_bytes = memory.available_bytes,
                  .block_size = options.block_size,
                  .max_model_len = options.max_model_len};
  const size_t block_bytes = needs.kv_block_bytes;
  const size_t fixed = needs.fixed();
  const size_t left = memory.available_bytes > fixed ? memory.available_bytes - fixed : 0;
  KvBudget kv_budget = budget;
  if (budget.memory_bytes == 0 && budget.memory_utilization > 0) {
    const size_t share = share_of(memory, budget.memory_utilization);
    if (share <= fixed)
      return resource_exhausted(fmt::format(
          "--gpu-memory-utilization {} is {} of the {} available; {} are needed before any KV cache",
          budget.memory_utilization, human_bytes(share), human_bytes(memory.available_bytes),
          sizes_text(plan)));
    kv_budget.memory_bytes = share - fixed;
  }
  const int64_t blocks = blocks_within(kv_budget, options, block_bytes, left);
  const int64_t tokens = std::max<int64_t>(blocks, 0) * options.block_size;

  const int least =
      budget.shorten_context ? std::min(kLeastContext, options.max_model_len) : options.max_model_len;
  const size_t least_kv = static_cast<size_t>(blocks_for(least, options.block_size) + 1) * block_bytes;
  const size_t wanted_kv =
      std::max(static_cast<size_t>(std::max<int64_t>(blocks, 0) + 1) * block_bytes, least_kv);
  if (fixed + (tokens < least ? least_kv : wanted_kv) > memory.available_bytes)
    return resource_exhausted(fmt::format(
        "not enough memory: {} and {} of KV cache are needed, {} is available{}", sizes_text(plan),
        human_bytes(tokens < least ? least_kv : wanted_kv), human_bytes(memory.available_bytes),
        left / block_bytes > 1
            ? fmt::format("; --max-model-len {} would fit",
                          (left / block_bytes - 1) * static_cast<size_t>(options.block_size))
            : ""));
  if (tokens < least)
    return resource_exhausted(fmt::format(
        "{} holds {} tokens, {} {} needs {} blocks ({})",
        budget.num_blocks > 0 ? fmt::format("a KV cache of {} blocks", budget.num_blocks)
                              : fmt::format("a KV cache of {}", human_bytes(kv_budget.memory_bytes)),
        tokens, budget.shorten_context ? "the least useful context of" : "--max-model-len", least,
        blocks_for(least, options.block_size) + 1, human_bytes(least_kv)));
  if (tokens < options.max_model_len) {
    plan.context_shortened = true;
    plan.max_model_len = options.max_model_len = static_cast<int>(tokens);
  }
  plan.num_blocks = options.num_blocks = static_cast<int>(blocks) + 1;
  plan.kv_bytes = static_cast<size_t>(plan.num_blocks) * block_bytes;
  return plan;
}

}  // namespace pegainfer

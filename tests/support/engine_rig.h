// A tiny model behind a whole engine, and requests to it whose answers can be compared bit for bit.
#pragma once

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/llm_engine.h"
#include "runner/model_loader.h"
#include "support/tiny_model.h"

namespace pegainfer::testing {

struct RigOptions {
  TinyModel model = tiny_qwen3();
  std::vector<TinyTensor> tensors;  // empty: the model's
  int max_num_seqs = 16;
  int max_num_batched_tokens = 64;
  int num_kv_blocks = 97;
  int depth = 1;
  bool prefix_caching = false;
  int force_preempt_every = 0;
  std::vector<TokenId> eos = {};
};

struct Ask {
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  uint64_t group = 0;
  std::string cache_salt;
  int cancel_after = -1;  // tokens; -1: never
};

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<PositionLogprobs> logprobs;
  std::vector<PositionLogprobs> prompt_logprobs;
  Finish finish;
};

class EngineRig {
 public:
  explicit EngineRig(const RigOptions& options);
  ~EngineRig();
  EngineRig(const EngineRig&) = delete;
  EngineRig& operator=(const EngineRig&) = delete;

  LlmEngine& engine() { return *engine_; }
  const Backend& backend() { return *backend_; }
  // All at once, in this order; returns when every one has ended.
  std::vector<Answer> run(const std::vector<Ask>& asks);
  // Once no step is under way: with overlap the last one may still run when its requests have ended.
  int num_free_blocks_at_rest();
  Answer run(const Ask& ask) { return run(std::vector<Ask>{ask}).front(); }

 private:
  std::future<Answer> submit(const Ask& ask);

  TempDir directory_;
  std::unique_ptr<Backend> backend_;
  std::optional<LoadedModel> model_;
  std::unique_ptr<LlmEngine> engine_;
};

// "" when the answers are the same in everything but where the KV came from; else what differs first.
std::string difference(const Answer& a, const Answer& b);

}  // namespace pegainfer::testing

// Request: one sequence and how far it has come. Mutable, owned by the Scheduler.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "kv/kv_cache_manager.h"
#include "pegainfer/engine.h"
#include "pegainfer/ids.h"
#include "pegainfer/sampling_params.h"

namespace pegainfer {

enum class RequestState : uint8_t {
  kWaiting,   // holds no blocks
  kRunning,   // holds blocks, takes part in steps
  kRetiring,  // finished, but a launched step still writes to its blocks
};

struct Request {
  Request(RequestId request_id, std::vector<TokenId> prompt, SamplingParams params)
      : id(request_id),
        sampling(std::move(params)),
        num_prompt_tokens(static_cast<int>(prompt.size())),
        token_ids(std::move(prompt)) {}

  const RequestId id;
  const SamplingParams sampling;  // seed is set
  const int num_prompt_tokens;
  std::vector<TokenId> token_ids;  // prompt, then output
  int num_computed_tokens = 0;     // whose KV the collected steps have stored
  int num_inflight_tokens =
      0;                      // whose KV launched and uncollected steps store; they follow the computed ones
  int num_cached_tokens = 0;  // of the prompt, found in the prefix cache
  RequestState state = RequestState::kWaiting;
  BlockTable blocks;
  std::vector<PositionLogprobs> prompt_logprobs;  // gathered chunk by chunk until the prompt is through

  [[nodiscard]] int num_tokens() const { return static_cast<int>(token_ids.size()); }
  [[nodiscard]] int num_output_tokens() const { return num_tokens() - num_prompt_tokens; }
  // The position of the next token to give to a step.
  [[nodiscard]] int next_position() const { return num_computed_tokens + num_inflight_tokens; }
  // Known tokens that no step has yet. With a sample in flight there are none: its token is not known.
  [[nodiscard]] int num_remaining() const { return num_tokens() - next_position(); }
  // Positions whose KV it may need in its life: the last generated token's never is.
  [[nodiscard]] int64_t max_positions() const {
    return int64_t{num_prompt_tokens} + (sampling.max_tokens == 0 ? 0 : int64_t{sampling.max_tokens} - 1);
  }
  [[nodiscard]] Usage usage() const {
    return {.prompt_tokens = num_prompt_tokens,
            .completion_tokens = num_output_tokens(),
            .cached_tokens = num_cached_tokens};
  }
};

}  // namespace pegainfer

// Request: one sequence and how far it has come. Mutable, owned by the Scheduler.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kv/kv_cache_manager.h"
#include "pegainfer/engine.h"
#include "pegainfer/ids.h"
#include "pegainfer/sampling_params.h"
#include "sampling/sampling_state.h"

namespace pegainfer {

enum class RequestState : uint8_t {
  kWaiting,   // holds no blocks
  kRunning,   // holds blocks, takes part in steps
  kRetiring,  // finished, but a launched step still writes to its blocks
};

// What the scheduler needs to know besides the prompt and the sampling.
struct RequestOptions {
  int priority = 0;        // lower goes first
  std::string cache_salt;  // as in GenerateRequest
  uint64_t group = 0;
  // Its next row cannot be sampled before the host knows its last token, so no step is planned for it while
  // that token is in flight (docs/engine_contract.md, Overlap).
  bool waits_for_token = false;
};

struct Request {
  Request(RequestId request_id, std::vector<TokenId> prompt, SamplingParams params,
          RequestOptions request_options = {})
      : id(request_id),
        sampling(std::move(params)),
        options(std::move(request_options)),
        num_prompt_tokens(static_cast<int>(prompt.size())),
        token_ids(std::move(prompt)) {}

  const RequestId id;
  const SamplingParams sampling;  // seed is set
  const RequestOptions options;
  const int num_prompt_tokens;
  std::unique_ptr<SamplingState> sampling_state;  // null: the plain sampler is enough
  int64_t rank = 0;                               // the scheduler serves lower ones first
  std::vector<TokenId> token_ids;                 // prompt, then output
  int num_computed_tokens = 0;                    // whose KV the collected steps have stored
  // Whose KV launched and uncollected steps store; they follow the computed ones.
  int num_inflight_tokens = 0;
  int num_pending_tokens = 0;  // sampled by launched and uncollected steps: they follow token_ids
  int num_launches = 0;        // uncollected ones that it takes part in
  int epoch = 0;               // of its KV: one more with every preemption
  int num_cached_tokens = 0;   // of the prompt, found in the prefix cache when it first ran
  bool was_scheduled = false;
  bool prompt_counted = false;       // in the tokens processed
  int num_tokens_when_admitted = 0;  // the last time
  int num_planned_tokens = 0;        // by the plan in the making
  RequestState state = RequestState::kWaiting;
  BlockTable blocks;
  std::vector<PositionLogprobs> prompt_logprobs;  // gathered chunk by chunk until the prompt is through
  int num_prompt_logprobs = 0;                    // gathered so far, those reported already too

  [[nodiscard]] bool waits_for_token() const {
    return options.waits_for_token || (sampling_state && sampling_state->waits_for_token());
  }
  [[nodiscard]] int num_tokens() const { return static_cast<int>(token_ids.size()); }
  [[nodiscard]] int num_output_tokens() const { return num_tokens() - num_prompt_tokens; }
  // The position of the next token to give to a step.
  [[nodiscard]] int next_position() const { return num_computed_tokens + num_inflight_tokens; }
  // Tokens that no step has yet: known ones, then those that a launched step samples.
  [[nodiscard]] int num_remaining() const { return num_tokens() + num_pending_tokens - next_position(); }
  // Positions whose KV it may need in its life: the last generated token's never is.
  [[nodiscard]] int64_t max_positions() const {
    return int64_t{num_prompt_tokens} + (sampling.max_tokens == 0 ? 0 : int64_t{sampling.max_tokens} - 1);
  }
  // Log-probabilities of the prompt are still to come: they need every row computed.
  [[nodiscard]] bool wants_prompt_rows() const {
    return sampling.prompt_logprobs >= 0 && num_prompt_logprobs < num_prompt_tokens - 1;
  }
  [[nodiscard]] Usage usage() const {
    return {.prompt_tokens = num_prompt_tokens,
            .completion_tokens = num_output_tokens(),
            .cached_tokens = num_cached_tokens};
  }
};

}  // namespace pegainfer

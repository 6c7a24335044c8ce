#include "engine/validate_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

#include "sampling/validate.h"

namespace pegainfer {
namespace {

Status validate_prompt(const EngineInfo& info, const GenerateRequest& request) {
  if (request.prompt.empty())
    return invalid_argument("prompt is empty; it must hold at least one token", "prompt", "empty_prompt");
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    const TokenId id = request.prompt[i];
    if (id < 0 || id >= info.vocab_size)
      return invalid_argument(
          fmt::format("prompt holds the token id {} at position {}; ids of this model are "
                      "0 to {}",
                      id, i, info.vocab_size - 1),
          "prompt", "out_of_vocab");
  }
  return ok_status();
}

// The phrase "maximum context length" and both numbers are what clients look for before they shorten and
// retry.
Status validate_length(const EngineInfo& info, const GenerateRequest& request) {
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t max_tokens = request.sampling.max_tokens;
  if (prompt > info.max_model_len || (prompt == info.max_model_len && max_tokens > 0))
    return invalid_argument(
        fmt::format("This model's maximum context length is {} tokens. However, your request has {} input "
                    "tokens. Please shorten the prompt.",
                    info.max_model_len, prompt),
        "prompt", kContextLengthExceeded);
  if (prompt + max_tokens > info.max_model_len)
    return invalid_argument(
        fmt::format("This model's maximum context length is {} tokens. However, you requested {} tokens ({} "
                    "in the prompt, {} for the completion). Please shorten the prompt or the completion.",
                    info.max_model_len, prompt + max_tokens, prompt, max_tokens),
        "max_tokens", kContextLengthExceeded);
  const int64_t room = static_cast<int64_t>(info.num_kv_blocks - 1) * info.block_size;  // block 0 is reserved
  const int64_t needed = max_tokens == 0 ? prompt : prompt + max_tokens - 1;
  if (needed > room)
    return invalid_argument(
        fmt::format("The KV cache holds {} tokens, which is this server's maximum context length. However, "
                    "your request needs {} ({} in the prompt, {} for the completion).",
                    room, needed, prompt, max_tokens),
        "max_tokens", kContextLengthExceeded);
  return ok_status();
}

// What cannot be drawn as the first token, whatever the model says; ascending.
std::vector<TokenId> never_drawn(const EngineInfo& info, const SamplingParams& sampling) {
  std::vector<TokenId> never;
  for (const LogitBias& bias : sampling.logit_bias)
    if (bias.bias == -std::numeric_limits<float>::infinity()) never.push_back(bias.token);
  for (const std::vector<TokenId>& word : sampling.bad_words)
    if (word.size() == 1) never.push_back(word.front());
  if (sampling.min_tokens > 0) {
    never.insert(never.end(), sampling.stop_token_ids.begin(), sampling.stop_token_ids.end());
    never.insert(never.end(), info.eos_token_ids.begin(), info.eos_token_ids.end());
  }
  std::ranges::sort(never);
  never.erase(std::unique(never.begin(), never.end()), never.end());
  return never;
}

// A request that forbids what it allows would fail at its first token.
Status validate_choice(const EngineInfo& info, const SamplingParams& sampling) {
  if (sampling.max_tokens == 0) return ok_status();
  const std::vector<TokenId> never = never_drawn(info, sampling);
  if (never.empty()) return ok_status();
  const std::vector<TokenId>& allowed = sampling.allowed_token_ids;
  const auto can_be_drawn = [&](TokenId id) { return !std::ranges::binary_search(never, id); };
  const bool some_left = allowed.empty() ? never.size() < static_cast<size_t>(info.vocab_size)
                                         : std::ranges::any_of(allowed, can_be_drawn);
  if (some_left) return ok_status();
  return invalid_argument(
      "the request's logit_bias, bad_words, allowed_token_ids and min_tokens together leave no token to draw",
      allowed.empty() ? "logit_bias" : "allowed_token_ids", "invalid_value");
}

}  // namespace

Status validate_request(const EngineInfo& info, const GenerateRequest& request) {
  if (!request.sink) return invalid_argument("the request has no sink", "sink");
  RETURN_IF_ERROR(validate_sampling(request.sampling, info.vocab_size));
  RETURN_IF_ERROR(validate_choice(info, request.sampling));
  RETURN_IF_ERROR(validate_prompt(info, request));
  return validate_length(info, request);
}

}  // namespace pegainfer

#include "engine/validate_request.h"

#include <fmt/core.h>

#include <cstdint>

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

}  // namespace

Status validate_request(const EngineInfo& info, const GenerateRequest& request) {
  if (!request.sink) return invalid_argument("the request has no sink", "sink");
  RETURN_IF_ERROR(validate_sampling(request.sampling, info.vocab_size));
  RETURN_IF_ERROR(validate_prompt(info, request));
  return validate_length(info, request);
}

}  // namespace pegainfer

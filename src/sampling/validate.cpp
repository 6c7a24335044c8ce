#include "sampling/validate.h"

#include <fmt/core.h>

namespace pegainfer {
namespace {

template <class T>
Error out_of_range(const char* field, T value, const char* valid) {
  return invalid_argument(fmt::format("{} is {}; it must be {}", field, value, valid), field, "out_of_range");
}

Status check_top_n(const char* field, int value) {
  if (value >= -1 && value <= kMaxLogprobs) return ok_status();
  return invalid_argument(
      fmt::format("{} is {}; it must be between 0 and {}, or -1 for none", field, value, kMaxLogprobs), field,
      "out_of_range");
}

}  // namespace

// The comparisons are written so that a NaN fails them.
Status validate_sampling(const SamplingParams& params, int vocab_size) {
  if (!(params.temperature >= 0 && params.temperature <= kMaxTemperature))
    return out_of_range("temperature", params.temperature, "between 0 and 2");
  if (!(params.top_p > 0 && params.top_p <= 1))
    return out_of_range("top_p", params.top_p, "above 0 and at most 1");
  if (!(params.min_p >= 0 && params.min_p <= 1))
    return out_of_range("min_p", params.min_p, "between 0 and 1");
  if (params.top_k < -1) return out_of_range("top_k", params.top_k, "at least 1, or 0 or -1 for off");
  if (params.max_tokens < 0) return out_of_range("max_tokens", params.max_tokens, "at least 0");
  RETURN_IF_ERROR(check_top_n("logprobs", params.logprobs));
  RETURN_IF_ERROR(check_top_n("prompt_logprobs", params.prompt_logprobs));
  for (const TokenId id : params.stop_token_ids) {
    if (id < 0 || id >= vocab_size)
      return invalid_argument(
          fmt::format("stop_token_ids holds {}; token ids of this model are 0 to {}", id, vocab_size - 1),
          "stop_token_ids", "out_of_vocab");
  }
  return ok_status();
}

}  // namespace pegainfer

#include "sampling/validate.h"

#include <fmt/core.h>

#include <cmath>
#include <limits>
#include <vector>

namespace pegainfer {
namespace {

constexpr float kMaxDry = 100;

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

Status check_ids(const char* field, const std::vector<TokenId>& ids, int vocab_size) {
  for (const TokenId id : ids) {
    if (id < 0 || id >= vocab_size)
      return invalid_argument(
          fmt::format("{} holds {}; token ids of this model are 0 to {}", field, id, vocab_size - 1), field,
          "out_of_vocab");
  }
  return ok_status();
}

Status check_penalties(const SamplingParams& p) {
  if (!(p.presence_penalty >= -2 && p.presence_penalty <= 2))
    return out_of_range("presence_penalty", p.presence_penalty, "between -2 and 2");
  if (!(p.frequency_penalty >= -2 && p.frequency_penalty <= 2))
    return out_of_range("frequency_penalty", p.frequency_penalty, "between -2 and 2");
  if (!(p.repetition_penalty > 0 && p.repetition_penalty <= kMaxRepetitionPenalty))
    return out_of_range("repetition_penalty", p.repetition_penalty, "above 0 and at most 100");
  if (p.penalty_last_n < -1) return out_of_range("penalty_last_n", p.penalty_last_n, "at least -1");
  return ok_status();
}

Status check_token_rules(const SamplingParams& p, int vocab_size) {
  for (const LogitBias& bias : p.logit_bias) {
    RETURN_IF_ERROR(check_ids("logit_bias", {bias.token}, vocab_size));
    if (!(bias.bias < std::numeric_limits<float>::infinity()))
      return out_of_range("logit_bias", bias.bias, "a number, or -infinity for never");
  }
  if (p.min_tokens < 0) return out_of_range("min_tokens", p.min_tokens, "at least 0");
  RETURN_IF_ERROR(check_ids("allowed_token_ids", p.allowed_token_ids, vocab_size));
  for (const std::vector<TokenId>& word : p.bad_words) {
    if (word.empty()) return invalid_argument("bad_words holds a word without tokens", "bad_words");
    RETURN_IF_ERROR(check_ids("bad_words", word, vocab_size));
  }
  return ok_status();
}

Status check_dry(const DryParams& p) {
  if (!(p.multiplier >= 0 && p.multiplier <= kMaxDry))
    return out_of_range("dry_multiplier", p.multiplier, "between 0 and 100");
  if (!(p.base >= 1 && p.base <= kMaxDry)) return out_of_range("dry_base", p.base, "between 1 and 100");
  if (p.allowed_length < 1) return out_of_range("dry_allowed_length", p.allowed_length, "at least 1");
  if (p.penalty_last_n < -1) return out_of_range("dry_penalty_last_n", p.penalty_last_n, "at least -1");
  return ok_status();
}

Status check_llama_stages(const SamplingParams& p) {
  if (!(p.typical_p > 0 && p.typical_p <= 1))
    return out_of_range("typical_p", p.typical_p, "above 0 and at most 1");
  if (!std::isfinite(p.top_n_sigma)) return out_of_range("top_n_sigma", p.top_n_sigma, "a number");
  if (!(p.xtc_probability >= 0 && p.xtc_probability <= 1))
    return out_of_range("xtc_probability", p.xtc_probability, "between 0 and 1");
  if (!(p.xtc_threshold >= 0 && p.xtc_threshold <= 1))
    return out_of_range("xtc_threshold", p.xtc_threshold, "between 0 and 1");
  if (!(p.dynatemp_range >= 0 && p.dynatemp_range <= kMaxTemperature))
    return out_of_range("dynatemp_range", p.dynatemp_range, "between 0 and 2");
  if (!(p.dynatemp_exponent >= 0 && p.dynatemp_exponent <= 100))
    return out_of_range("dynatemp_exponent", p.dynatemp_exponent, "between 0 and 100");
  const MirostatParams& m = p.mirostat;
  if (m.version < 0 || m.version > 2) return out_of_range("mirostat", m.version, "0, 1 or 2");
  if (!(m.tau >= 0 && m.tau <= 100)) return out_of_range("mirostat_tau", m.tau, "between 0 and 100");
  if (!(m.eta >= 0 && m.eta <= 1)) return out_of_range("mirostat_eta", m.eta, "between 0 and 1");
  return ok_status();
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
  RETURN_IF_ERROR(check_ids("stop_token_ids", params.stop_token_ids, vocab_size));
  RETURN_IF_ERROR(check_penalties(params));
  RETURN_IF_ERROR(check_token_rules(params, vocab_size));
  RETURN_IF_ERROR(check_dry(params.dry));
  return check_llama_stages(params);
}

}  // namespace pegainfer

#include "server/openai/generation_options.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "sampling/validate.h"
#include "server/openai/ignored_fields.h"
#include "server/openai/unsupported_fields.h"

namespace pegainfer::openai {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();

// Where llama-server ends a repetition unless it is told otherwise.
const std::vector<std::string> kDryBreakers = {"\n", ":", "\"", "*"};

// As vLLM: a bias is brought into [-100, 100], not refused. `false` in the list form of llama-server: never.
std::optional<float> bias_of(const json::Value& value) {
  if (value.is_bool() && !value.get_bool()) return -std::numeric_limits<float>::infinity();
  if (!value.is_number()) return std::nullopt;
  return static_cast<float>(std::clamp(value.to_number<double>(), -100.0, 100.0));
}

std::optional<TokenId> id_of(std::string_view text, int vocab_size) {
  TokenId id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc{} || end != text.data() + text.size() || id < 0 || id >= vocab_size)
    return std::nullopt;
  return id;
}

void fail_bias(Fields& fields, std::string_view what, int vocab_size) {
  fields.fail("logit_bias",
              fmt::format("logit_bias holds {}; it maps token ids, for this model 0 to {}, to numbers", what,
                          vocab_size - 1),
              "invalid_value");
}

// {"id": bias, ..} as OpenAI has it, or [[id, bias], ..] as llama-server does.
void parse_logit_bias(Fields& fields, const RequestContext& context, SamplingParams& out) {
  const json::Value* value = fields.find("logit_bias");
  if (value == nullptr) return;
  const int vocab_size = context.engine.vocab_size;
  const json::Object* object = value->if_object();
  const json::Array* array = value->if_array();
  if (object == nullptr && array == nullptr)
    return fields.fail("logit_bias",
                       fmt::format("logit_bias is {}; it must be an object of token ids and numbers",
                                   json::kind_name(*value)),
                       "invalid_type");
  const size_t count = object != nullptr ? object->size() : array->size();
  if (count > context.limits.max_logit_bias)
    return fields.fail("logit_bias",
                       fmt::format("logit_bias has {} entries; at most {} are allowed", count,
                                   context.limits.max_logit_bias),
                       "out_of_range");
  const auto add = [&](std::optional<TokenId> id, const json::Value& entry, const std::string& what) {
    const auto bias = bias_of(entry);
    if (!id || !bias) return fail_bias(fields, what, vocab_size);
    out.logit_bias.push_back({*id, *bias});
  };
  if (object != nullptr) {
    for (const auto& [key, entry] : *object)
      add(id_of(key, vocab_size), entry, json::quote(key) + ": " + json::dump(entry));
    return;
  }
  for (const json::Value& pair : *array) {
    const json::Array* two = pair.if_array();
    if (two == nullptr || two->size() != 2) return fail_bias(fields, json::dump(pair), vocab_size);
    const auto number = as_integer(two->at(0));
    const bool known = number && *number >= 0 && *number < vocab_size;
    add(known ? std::optional(static_cast<TokenId>(*number)) : std::nullopt, two->at(1), json::dump(pair));
  }
}

void parse_length(Fields& fields, const RequestContext& context, GenerationOptions& out) {
  SamplingParams& s = out.sampling;
  // llama-server's n_predict: -1 for as many as there is room.
  const std::string_view name = fields.either("max_tokens", "n_predict");
  const auto max_tokens = fields.integer(name, name == "n_predict" ? -1 : 0, kMaxInt);
  const bool as_many_as_fit = max_tokens == -1;
  out.max_tokens_given = max_tokens.has_value() && !as_many_as_fit;
  s.max_tokens = as_many_as_fit ? context.engine.max_model_len
                                : static_cast<int>(max_tokens.value_or(SamplingParams{}.max_tokens));
  s.ignore_eos = fields.flag("ignore_eos", false);
  s.stop_token_ids =
      fields.token_ids("stop_token_ids", context.engine.vocab_size, context.limits.max_stop_token_ids);
  s.min_tokens = static_cast<int>(fields.integer("min_tokens", 0, kMaxInt).value_or(0));
}

float number_or(Fields& fields, std::string_view name, NumberRange range, float otherwise) {
  const auto value = fields.number(name, range);
  if (!value) return otherwise;
  const auto rounded = static_cast<float>(*value);
  if (range.min_excluded && static_cast<double>(rounded) <= range.min)
    fields.fail(name, fmt::format("{} is {}, too near to {}", name, *value, range.min), "out_of_range");
  return rounded;
}

void parse_penalties(Fields& fields, const SamplingDefaults& defaults, SamplingParams& s) {
  s.presence_penalty = number_or(fields, "presence_penalty", {-2, 2}, 0);
  s.frequency_penalty = number_or(fields, "frequency_penalty", {-2, 2}, 0);
  s.repetition_penalty = number_or(fields, fields.either("repetition_penalty", "repeat_penalty"),
                                   {0, kMaxRepetitionPenalty, true},
                                   static_cast<float>(defaults.repetition_penalty.value_or(1.0)));
  s.penalty_last_n = static_cast<int>(
      fields.integer(fields.either("penalty_last_n", "repeat_last_n"), -1, kMaxInt).value_or(-1));
}

void parse_token_rules(Fields& fields, const RequestContext& context, GenerationOptions& out) {
  SamplingParams& s = out.sampling;
  parse_logit_bias(fields, context, s);
  const auto vocab_size = static_cast<size_t>(context.engine.vocab_size);
  s.allowed_token_ids = fields.token_ids("allowed_token_ids", context.engine.vocab_size, vocab_size);
  if (s.allowed_token_ids.empty() && fields.find("allowed_token_ids") != nullptr)
    fields.fail("allowed_token_ids", "allowed_token_ids is empty; leave it out or name at least one token");
  out.bad_words = fields.texts("bad_words", context.limits.max_bad_words, context.limits.max_stop_bytes);
}

void parse_dry(Fields& fields, GenerationOptions& out) {
  DryParams& dry = out.sampling.dry;
  dry.multiplier = number_or(fields, "dry_multiplier", {0, 100}, 0);
  dry.base = number_or(fields, "dry_base", {1, 100}, dry.base);
  dry.allowed_length = static_cast<int>(fields.integer("dry_allowed_length", 1, kMaxInt).value_or(2));
  dry.penalty_last_n = static_cast<int>(fields.integer("dry_penalty_last_n", -1, kMaxInt).value_or(-1));
  const json::Value* breakers = fields.find("dry_sequence_breakers");
  constexpr size_t kMaxBreakers = 64;
  constexpr size_t kMaxBreakerBytes = 40;
  out.dry_sequence_breakers = breakers == nullptr
                                  ? kDryBreakers
                                  : fields.texts("dry_sequence_breakers", kMaxBreakers, kMaxBreakerBytes);
}

void parse_llama_stages(Fields& fields, SamplingParams& s) {
  s.typical_p = number_or(fields, "typical_p", {0, 1, true}, 1);
  s.top_n_sigma = number_or(fields, "top_n_sigma", {-1, 1000}, -1);
  s.xtc_probability = number_or(fields, "xtc_probability", {0, 1}, 0);
  s.xtc_threshold = number_or(fields, "xtc_threshold", {0, 1}, s.xtc_threshold);
  s.dynatemp_range = number_or(fields, "dynatemp_range", {0, kMaxTemperature}, 0);
  s.dynatemp_exponent = number_or(fields, "dynatemp_exponent", {0, 100}, 1);
  s.mirostat.version = static_cast<int>(fields.integer("mirostat", 0, 2).value_or(0));
  s.mirostat.tau = number_or(fields, "mirostat_tau", {0, 100}, s.mirostat.tau);
  s.mirostat.eta = number_or(fields, "mirostat_eta", {0, 1}, s.mirostat.eta);
}

}  // namespace

void parse_sampling(Fields& fields, const RequestContext& context, GenerationOptions& out) {
  SamplingParams& s = out.sampling;
  const SamplingDefaults& d = context.defaults;
  s.temperature =
      static_cast<float>(fields.number("temperature", {0, 2}).value_or(d.temperature.value_or(1.0)));
  s.top_p = number_or(fields, "top_p", {0, 1, true}, static_cast<float>(d.top_p.value_or(1.0)));
  s.min_p = static_cast<float>(fields.number("min_p", {0, 1}).value_or(d.min_p.value_or(0.0)));
  s.top_k = static_cast<int>(fields.integer("top_k", -1, kMaxInt).value_or(d.top_k.value_or(0)));
  if (const auto seed =
          fields.integer("seed", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()))
    if (*seed != -1) s.seed = static_cast<uint64_t>(*seed);  // -1 is none, as in vLLM and llama-server
  parse_length(fields, context, out);
  parse_penalties(fields, d, s);
  parse_token_rules(fields, context, out);
  parse_dry(fields, out);
  parse_llama_stages(fields, s);
}

void parse_text_options(Fields& fields, const RequestContext& context, GenerationOptions& out) {
  const ApiLimits& limits = context.limits;
  out.stop = fields.texts("stop", limits.max_stops, limits.max_stop_bytes);
  out.include_stop = fields.flag(fields.either("include_stop_str_in_output", "no_stop_trim"), false);
  out.tokens_as_ids = fields.flag("return_tokens_as_token_ids", false);
  out.return_token_ids = fields.flag("return_token_ids", false);
  out.skip_special_tokens = fields.flag("skip_special_tokens", true);
  if (const auto keep = fields.integer("truncate_prompt_tokens", -1, kMaxInt)) {
    if (*keep == 0)
      fields.fail("truncate_prompt_tokens", "truncate_prompt_tokens is 0; it must be -1 or at least 1");
    out.truncate_prompt_tokens = static_cast<int>(*keep);
  }
}

void parse_prompt_logprobs(Fields& fields, const ApiLimits& limits, GenerationOptions& out) {
  out.prompt_logprobs =
      static_cast<int>(fields.integer("prompt_logprobs", 0, limits.max_logprobs).value_or(-1));
  out.sampling.prompt_logprobs = out.prompt_logprobs;
}

void check_min_tokens(Fields& fields, std::string_view max_name, const SamplingParams& sampling) {
  if (sampling.min_tokens > sampling.max_tokens && fields.ok())
    fields.fail("min_tokens",
                fmt::format("min_tokens is {}; it must not be above {}, which is {}", sampling.min_tokens,
                            max_name, sampling.max_tokens),
                "out_of_range");
}

// vLLM's rule for a salt: 1 to 128 characters, none of @ / \\ and NUL.
void parse_scheduling(Fields& fields, GenerationOptions& out) {
  constexpr size_t kMaxSalt = 128;
  constexpr size_t kMaxRequestId = 256;
  constexpr double kMaxTimeout = 7 * 24 * 3600.0;
  out.priority =
      static_cast<int>(fields.integer("priority", std::numeric_limits<int32_t>::min(), kMaxInt).value_or(0));
  out.timeout = fields.number("timeout", {0, kMaxTimeout, true});
  if (auto salt = fields.text("cache_salt")) {
    using namespace std::string_view_literals;
    if (salt->empty() || salt->size() > kMaxSalt || salt->find_first_of("@/\\\0"sv) != std::string::npos) {
      fields.fail(
          "cache_salt",
          fmt::format("cache_salt must have 1 to {} characters, none of them @, /, \\ or NUL", kMaxSalt));
    }
    out.cache_salt = *std::move(salt);
  }
  const std::string_view id_name = fields.either("request_id", "rid");
  if (auto id = fields.text(id_name)) {
    if (id->size() > kMaxRequestId)
      fields.fail(id_name,
                  fmt::format("{} has {} bytes; at most {} are allowed", id_name, id->size(), kMaxRequestId));
    out.request_id = *std::move(id);
  }
}

void parse_stream(Fields& fields, GenerationOptions& out) {
  out.stream = fields.flag("stream", false);
  if (out.stream && out.prompt_logprobs >= 0)
    fields.fail("prompt_logprobs", "prompt_logprobs are not available when stream is true");
  const json::Value* options = fields.find("stream_options");
  if (options == nullptr) return;
  const json::Object* object = options->if_object();
  if (object == nullptr)
    return fields.fail("stream_options", "stream_options must be an object", "invalid_type");
  if (!out.stream) return fields.fail("stream_options", "stream_options is only allowed when stream is true");
  for (const auto& [key, value] : *object) {
    const std::string_view name = key;
    if (name != "include_usage" && name != "continuous_usage_stats" && name != "include_obfuscation")
      return fields.fail(
          "stream_options",
          fmt::format("stream_options has no field {}; include_usage and continuous_usage_stats are "
                      "known",
                      json::quote(name)));
  }
  Fields inner(*object, "stream_options.");
  out.stream_options.include_usage = inner.flag("include_usage", false);
  out.stream_options.continuous_usage = inner.flag("continuous_usage_stats", false);
  if (!inner.ok()) fields.fail("stream_options", inner.error().message, inner.error().type);
}

void parse_n(Fields& fields, const ApiLimits& limits, GenerationOptions& out) {
  out.n = static_cast<int>(fields.integer("n", 1, limits.max_n).value_or(1));
  const auto best_of = fields.integer("best_of", 1, kMaxInt);
  if (best_of && *best_of < out.n) {
    fields.fail("best_of", fmt::format("best_of is {}; it must not be below n, which is {}", *best_of, out.n),
                "out_of_range");
  } else if (best_of && *best_of > out.n) {
    fields.fail(
        "best_of",
        "best_of above n is not supported: it is not in vLLM's engine any more either; ask for n choices",
        "unsupported_parameter");
  }
}

void check_ignored(Fields& fields) {
  constexpr size_t kMaxBytes = 64U << 10U;
  const json::Value* user = fields.find("user");
  if (user != nullptr && user->is_string() && user->get_string().size() > kMaxBytes)
    fields.fail("user", fmt::format("user has more than {} bytes", kMaxBytes), "out_of_range");
  const json::Value* metadata = fields.find("metadata");
  if (metadata != nullptr && json::dump(*metadata).size() > kMaxBytes)
    fields.fail("metadata", fmt::format("metadata has more than {} bytes", kMaxBytes), "out_of_range");
}

void note_unknown_fields(const Fields& fields) {
  for (const IgnoredField& ignored : ignored_fields()) fields.know(ignored.name);
  for (const std::string_view name : refused_fields()) fields.know(name);
  for (const std::string_view name : fields.unknown()) unknown_fields().count(name);
}

// A word is looked for as it begins a text and as it stands behind a space; the second only where it is
// another beginning of as many tokens (vLLM's rule: else " " + word would be " " and the word again).
void resolve_words(const Tokenizer& tokenizer, GenerationOptions& options) {
  const auto encode = [&](std::string_view text) {
    return tokenizer.encode(text, {.add_special_tokens = false});
  };
  SamplingParams& s = options.sampling;
  s.bad_words.clear();
  for (const std::string& word : options.bad_words) {
    const std::string_view bare =
        std::string_view(word).substr(std::min(word.find_first_not_of(' '), word.size()));
    std::vector<TokenId> plain = encode(bare);
    std::vector<TokenId> spaced = encode(" " + std::string(bare));
    const bool another =
        !spaced.empty() &&
        (plain.empty() || (spaced.front() != plain.front() && spaced.size() == plain.size()));
    if (!plain.empty()) s.bad_words.push_back(std::move(plain));
    if (another) s.bad_words.push_back(std::move(spaced));
  }
  s.dry.sequence_breakers.clear();
  if (s.dry.multiplier <= 0) return;
  for (const std::string& breaker : options.dry_sequence_breakers)
    s.dry.sequence_breakers.push_back(encode(breaker));
}

}  // namespace pegainfer::openai

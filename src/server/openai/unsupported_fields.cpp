#include "server/openai/unsupported_fields.h"

#include <fmt/core.h>

#include <array>
#include <string_view>

#include "base/json.h"

namespace pegainfer::openai {
namespace {

// The value besides null with which a parameter changes nothing.
enum class Neutral : uint8_t { kNone, kZero, kOne, kZeroOrLess, kFalse, kEmpty, kTextFormat };

struct Parameter {
  std::string_view name;
  Neutral neutral;
};

constexpr std::array kParameters = std::to_array<Parameter>({
    // OpenAI
    {"presence_penalty", Neutral::kZero},
    {"frequency_penalty", Neutral::kZero},
    {"logit_bias", Neutral::kEmpty},
    {"suffix", Neutral::kEmpty},
    {"response_format", Neutral::kTextFormat},
    // vLLM
    {"repetition_penalty", Neutral::kOne},
    {"use_beam_search", Neutral::kFalse},
    {"min_tokens", Neutral::kZero},
    {"bad_words", Neutral::kEmpty},
    {"allowed_token_ids", Neutral::kNone},
    {"logprob_token_ids", Neutral::kEmpty},
    {"logits_processors", Neutral::kEmpty},
    {"prompt_logprobs", Neutral::kNone},
    {"prompt_embeds", Neutral::kEmpty},
    {"structured_outputs", Neutral::kEmpty},
    {"guided_json", Neutral::kNone},
    {"guided_regex", Neutral::kEmpty},
    {"guided_choice", Neutral::kEmpty},
    {"guided_grammar", Neutral::kEmpty},
    {"repetition_detection", Neutral::kEmpty},
    {"thinking_token_budget", Neutral::kNone},
    {"truncation_side", Neutral::kNone},
    {"kv_transfer_params", Neutral::kEmpty},
    // llama-server and SGLang
    {"repeat_penalty", Neutral::kOne},
    {"typical_p", Neutral::kOne},
    {"dynatemp_range", Neutral::kZero},
    {"mirostat", Neutral::kZero},
    {"dry_multiplier", Neutral::kZero},
    {"xtc_probability", Neutral::kZero},
    {"top_n_sigma", Neutral::kZeroOrLess},
    {"grammar", Neutral::kEmpty},
    {"json_schema", Neutral::kEmpty},
    {"regex", Neutral::kEmpty},
    {"ebnf", Neutral::kEmpty},
    {"lora", Neutral::kEmpty},
    {"lora_path", Neutral::kEmpty},
});

bool is_empty(const json::Value& value) {
  if (const auto* s = value.if_string()) return s->empty();
  if (const auto* a = value.if_array()) return a->empty();
  if (const auto* o = value.if_object()) return o->empty();
  return false;
}

bool is_text_format(const json::Value& value) {
  const json::Object* object = value.if_object();
  const json::Value* type = object == nullptr ? nullptr : json::find(*object, "type");
  return type != nullptr && type->is_string() && type->get_string() == "text";
}

bool is_neutral(const json::Value& value, Neutral neutral) {
  const bool number = value.is_number();
  switch (neutral) {
    case Neutral::kNone: return false;
    case Neutral::kZero: return number && value.to_number<double>() == 0;
    case Neutral::kOne: return number && value.to_number<double>() == 1;
    case Neutral::kZeroOrLess: return number && value.to_number<double>() <= 0;
    case Neutral::kFalse: return value.is_bool() && !value.get_bool();
    case Neutral::kEmpty: return is_empty(value);
    case Neutral::kTextFormat: return is_text_format(value);
  }
  return false;
}

}  // namespace

Status refuse_unsupported_completion_fields(const json::Object& body) {
  for (const Parameter& parameter : kParameters) {
    const json::Value* value = json::find(body, parameter.name);
    if (value == nullptr || is_neutral(*value, parameter.neutral)) continue;
    return invalid_argument(fmt::format("{} is not supported by this server; leave it out", parameter.name),
                            std::string(parameter.name), "unsupported_parameter");
  }
  return ok_status();
}

}  // namespace pegainfer::openai

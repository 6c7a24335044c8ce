#include "server/openai/unsupported_fields.h"

#include <fmt/core.h>

#include <array>
#include <string_view>

#include "base/json.h"

namespace pegainfer::openai {
namespace {

// The value besides null with which a parameter changes nothing.
enum class Neutral : uint8_t { kNone, kZeroOrLess, kFalse, kEmpty, kLeft, kTextFormat };

struct Parameter {
  std::string_view name;
  Neutral neutral;
};

constexpr std::array kParameters = std::to_array<Parameter>({
    // OpenAI
    {"suffix", Neutral::kEmpty},
    {"response_format", Neutral::kTextFormat},
    // vLLM
    {"use_beam_search", Neutral::kFalse},
    {"logprob_token_ids", Neutral::kEmpty},
    {"logits_processors", Neutral::kEmpty},
    {"prompt_embeds", Neutral::kEmpty},
    {"structured_outputs", Neutral::kEmpty},
    {"guided_json", Neutral::kNone},
    {"guided_regex", Neutral::kEmpty},
    {"guided_choice", Neutral::kEmpty},
    {"guided_grammar", Neutral::kEmpty},
    {"guided_json_object", Neutral::kFalse},
    {"repetition_detection", Neutral::kEmpty},
    {"thinking_token_budget", Neutral::kNone},
    {"truncation_side", Neutral::kLeft},
    {"kv_transfer_params", Neutral::kEmpty},
    // llama-server
    {"grammar", Neutral::kEmpty},
    {"json_schema", Neutral::kNone},
    {"lora", Neutral::kEmpty},
    {"adaptive_target", Neutral::kZeroOrLess},
    {"post_sampling_probs", Neutral::kFalse},
    {"response_fields", Neutral::kEmpty},
    // SGLang
    {"regex", Neutral::kEmpty},
    {"ebnf", Neutral::kEmpty},
    {"lora_path", Neutral::kEmpty},
    {"session_params", Neutral::kEmpty},
    {"return_hidden_states", Neutral::kFalse},
    {"custom_logit_processor", Neutral::kEmpty},
    {"input_embeds", Neutral::kEmpty},
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
  switch (neutral) {
    case Neutral::kNone: return false;
    case Neutral::kZeroOrLess: return value.is_number() && value.to_number<double>() <= 0;
    case Neutral::kFalse: return value.is_bool() && !value.get_bool();
    case Neutral::kEmpty: return is_empty(value);
    case Neutral::kLeft: return value.is_string() && value.get_string() == "left";
    case Neutral::kTextFormat: return is_text_format(value);
  }
  return false;
}

}  // namespace

std::vector<std::string_view> refused_fields() {
  std::vector<std::string_view> names;
  names.reserve(kParameters.size());
  for (const Parameter& parameter : kParameters) names.push_back(parameter.name);
  return names;
}

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

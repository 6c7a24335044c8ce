#include "server/openai/completion_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <limits>

#include "base/json.h"
#include "server/openai/fields.h"
#include "server/openai/request_body.h"
#include "server/openai/unsupported_fields.h"

namespace pegainfer::openai {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();

Result<std::vector<TokenId>> parse_ids(const json::Array& array, int vocab_size) {
  std::vector<TokenId> ids;
  ids.reserve(array.size());
  for (const json::Value& element : array) {
    const auto id = as_integer(element);
    if (!id && !element.is_uint64()) {
      return invalid_argument(
          fmt::format("prompt holds {} among token ids; all must be whole numbers", json::kind_name(element)),
          "prompt", "invalid_type");
    }
    if (!id || *id < 0 || *id >= vocab_size) {
      return invalid_argument(fmt::format("prompt holds the token id {}; ids of this model are 0 to {}",
                                          json::dump(element), vocab_size - 1),
                              "prompt", "out_of_vocab");
    }
    ids.push_back(static_cast<TokenId>(*id));
  }
  if (ids.empty()) return invalid_argument("prompt is empty", "prompt", "empty_prompt");
  return ids;
}

Result<Prompt> parse_one_prompt(const json::Value& value, int vocab_size) {
  if (const auto* text = value.if_string()) {
    if (text->empty()) return invalid_argument("prompt is empty", "prompt", "empty_prompt");
    return Prompt(std::string(*text));
  }
  if (const auto* array = value.if_array()) {
    ASSIGN_OR_RETURN(std::vector<TokenId> ids, parse_ids(*array, vocab_size));
    return Prompt(std::move(ids));
  }
  return invalid_argument(
      fmt::format("prompt is or holds {}; it must be a string, an array of strings, an array of "
                  "token ids or an array of such arrays",
                  json::kind_name(value)),
      "prompt", "invalid_type");
}

Result<std::vector<Prompt>> parse_prompts(const json::Object& body, const RequestContext& context) {
  const json::Value* value = json::find(body, "prompt");
  if (value == nullptr) return invalid_argument("prompt is missing", "prompt", "missing_parameter");
  const json::Array* array = value->if_array();
  const bool several =
      array != nullptr && !array->empty() && (array->front().is_string() || array->front().is_array());
  std::vector<Prompt> prompts;
  if (!several) {
    ASSIGN_OR_RETURN(Prompt prompt, parse_one_prompt(*value, context.engine.vocab_size));
    prompts.push_back(std::move(prompt));
    return prompts;
  }
  if (array->size() > context.limits.max_prompts) {
    return invalid_argument(fmt::format("prompt has {} entries; at most {} are allowed in one request",
                                        array->size(), context.limits.max_prompts),
                            "prompt", "out_of_range");
  }
  for (const json::Value& element : *array) {
    if (element.kind() != array->front().kind())
      return invalid_argument("prompt mixes strings and token ids; use one of them", "prompt",
                              "invalid_type");
    ASSIGN_OR_RETURN(Prompt prompt, parse_one_prompt(element, context.engine.vocab_size));
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

void parse_sampling(Fields& fields, const RequestContext& context, CompletionRequest& out) {
  SamplingParams& s = out.sampling;
  const SamplingDefaults& d = context.defaults;
  s.temperature =
      static_cast<float>(fields.number("temperature", {0, 2}).value_or(d.temperature.value_or(1.0)));
  s.top_p = static_cast<float>(fields.number("top_p", {0, 1, true}).value_or(d.top_p.value_or(1.0)));
  s.min_p = static_cast<float>(fields.number("min_p", {0, 1}).value_or(d.min_p.value_or(0.0)));
  s.top_k = static_cast<int>(fields.integer("top_k", -1, kMaxInt).value_or(d.top_k.value_or(0)));
  if (const auto seed =
          fields.integer("seed", std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()))
    s.seed = static_cast<uint64_t>(*seed);
  const auto max_tokens = fields.integer("max_tokens", 0, kMaxInt);
  out.max_tokens_given = max_tokens.has_value();
  s.max_tokens = static_cast<int>(max_tokens.value_or(SamplingParams{}.max_tokens));
  s.ignore_eos = fields.flag("ignore_eos", false);
  s.stop_token_ids =
      fields.token_ids("stop_token_ids", context.engine.vocab_size, context.limits.max_stop_token_ids);
}

void parse_choices(Fields& fields, const RequestContext& context, CompletionRequest& out) {
  const ApiLimits& limits = context.limits;
  out.n = static_cast<int>(fields.integer("n", 1, limits.max_n).value_or(1));
  const auto best_of = fields.integer("best_of", 1, kMaxInt);
  if (best_of && *best_of < out.n) {
    fields.fail("best_of", fmt::format("best_of is {}; it must not be below n, which is {}", *best_of, out.n),
                "out_of_range");
  } else if (best_of && *best_of > out.n) {
    fields.fail("best_of", "best_of above n is not supported by this server; leave it out",
                "unsupported_parameter");
  }
  if (out.prompts.size() * static_cast<size_t>(out.n) > limits.max_prompts) {
    fields.fail("n",
                fmt::format("{} prompts with n = {} are more than {} choices", out.prompts.size(), out.n,
                            limits.max_prompts),
                "out_of_range");
  }
}

void parse_output(Fields& fields, const RequestContext& context, CompletionRequest& out) {
  const ApiLimits& limits = context.limits;
  out.stop = fields.texts("stop", limits.max_stops, limits.max_stop_bytes);
  out.include_stop = fields.flag("include_stop_str_in_output", false);
  out.echo = fields.flag("echo", false);
  out.logprobs = static_cast<int>(fields.integer("logprobs", 0, limits.max_logprobs).value_or(-1));
  out.tokens_as_ids = fields.flag("return_tokens_as_token_ids", false);
  out.return_token_ids = fields.flag("return_token_ids", false);
  out.add_special_tokens = fields.flag("add_special_tokens", true);
  out.skip_special_tokens = fields.flag("skip_special_tokens", true);
  if (const auto keep = fields.integer("truncate_prompt_tokens", -1, kMaxInt)) {
    if (*keep == 0)
      fields.fail("truncate_prompt_tokens", "truncate_prompt_tokens is 0; it must be -1 or at least 1");
    out.truncate_prompt_tokens = *keep == -1 ? context.engine.max_model_len : static_cast<int>(*keep);
  }
  if (out.sampling.max_tokens == 0 && !out.echo && fields.ok()) {
    fields.fail("max_tokens", "max_tokens is 0; it must be at least 1 unless echo asks for the prompt alone",
                "out_of_range");
  }
  out.sampling.logprobs = out.logprobs;
  out.sampling.prompt_logprobs = out.echo ? out.logprobs : -1;
}

void parse_stream(Fields& fields, CompletionRequest& out) {
  out.stream = fields.flag("stream", false);
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

// vLLM's rule for a salt: 1 to 128 characters, none of @ / \\ and NUL.
void parse_scheduling(Fields& fields, CompletionRequest& out) {
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
  if (auto id = fields.text("request_id")) {
    if (id->size() > kMaxRequestId)
      fields.fail("request_id",
                  fmt::format("request_id has {} bytes; at most {} are allowed", id->size(), kMaxRequestId));
    out.request_id = *std::move(id);
  }
}

}  // namespace

Result<CompletionRequest> parse_completion(std::string_view body, const RequestContext& context) {
  ASSIGN_OR_RETURN(const json::Value value, parse_object(body));
  const json::Object& object = value.get_object();
  CompletionRequest out;
  ASSIGN_OR_RETURN(out.model, parse_model(object, context.model_names));
  RETURN_IF_ERROR(refuse_unsupported_completion_fields(object));
  ASSIGN_OR_RETURN(out.prompts, parse_prompts(object, context));
  Fields fields(object);
  parse_sampling(fields, context, out);
  parse_choices(fields, context, out);
  parse_output(fields, context, out);
  parse_scheduling(fields, out);
  parse_stream(fields, out);
  if (!fields.ok()) return fields.error();
  return out;
}

}  // namespace pegainfer::openai

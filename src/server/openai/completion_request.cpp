#include "server/openai/completion_request.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/json.h"
#include "server/openai/fields.h"
#include "server/openai/request_body.h"
#include "server/openai/unsupported_fields.h"

namespace pegainfer::openai {
namespace {

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

void parse_choices(Fields& fields, const RequestContext& context, CompletionRequest& out) {
  const ApiLimits& limits = context.limits;
  parse_n(fields, limits, out);
  if (out.prompts.size() * static_cast<size_t>(out.n) > limits.max_prompts) {
    fields.fail("n",
                fmt::format("{} prompts with n = {} are more than {} choices", out.prompts.size(), out.n,
                            limits.max_prompts),
                "out_of_range");
  }
}

void parse_output(Fields& fields, const RequestContext& context, CompletionRequest& out) {
  const ApiLimits& limits = context.limits;
  out.echo = fields.flag("echo", false);
  out.logprobs = static_cast<int>(fields.integer("logprobs", 0, limits.max_logprobs).value_or(-1));
  // llama-server's name; 0 is none there.
  const auto n_probs = fields.integer("n_probs", 0, limits.max_logprobs);
  if (out.logprobs < 0 && n_probs.value_or(0) > 0) out.logprobs = static_cast<int>(*n_probs);
  parse_prompt_logprobs(fields, limits, out);
  out.add_special_tokens = fields.flag("add_special_tokens", true);
  const std::string_view max_name = fields.either("max_tokens", "n_predict");
  if (out.sampling.max_tokens == 0 && !out.echo && fields.ok())
    fields.fail(max_name,
                fmt::format("{} is 0; it must be at least 1 unless echo asks for the prompt alone", max_name),
                "out_of_range");
  check_min_tokens(fields, max_name, out.sampling);
  out.sampling.logprobs = out.logprobs;
  out.sampling.prompt_logprobs = std::max(out.echo ? out.logprobs : -1, out.prompt_logprobs);
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
  parse_text_options(fields, context, out);
  parse_output(fields, context, out);
  parse_scheduling(fields, out);
  parse_stream(fields, out);
  check_ignored(fields);
  if (!fields.ok()) return fields.error();
  for (const char* name : {"model", "prompt"}) fields.know(name);
  note_unknown_fields(fields);
  return out;
}

}  // namespace pegainfer::openai

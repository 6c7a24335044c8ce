#include "server/openai/generation_options.h"

#include <fmt/core.h>

#include <limits>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace pegainfer::openai {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();

}  // namespace

void parse_sampling(Fields& fields, const RequestContext& context, GenerationOptions& out) {
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

void parse_text_options(Fields& fields, const RequestContext& context, GenerationOptions& out) {
  const ApiLimits& limits = context.limits;
  out.stop = fields.texts("stop", limits.max_stops, limits.max_stop_bytes);
  out.include_stop = fields.flag("include_stop_str_in_output", false);
  out.tokens_as_ids = fields.flag("return_tokens_as_token_ids", false);
  out.return_token_ids = fields.flag("return_token_ids", false);
  out.skip_special_tokens = fields.flag("skip_special_tokens", true);
  if (const auto keep = fields.integer("truncate_prompt_tokens", -1, kMaxInt)) {
    if (*keep == 0)
      fields.fail("truncate_prompt_tokens", "truncate_prompt_tokens is 0; it must be -1 or at least 1");
    out.truncate_prompt_tokens = *keep == -1 ? context.engine.max_model_len : static_cast<int>(*keep);
  }
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
  if (auto id = fields.text("request_id")) {
    if (id->size() > kMaxRequestId)
      fields.fail("request_id",
                  fmt::format("request_id has {} bytes; at most {} are allowed", id->size(), kMaxRequestId));
    out.request_id = *std::move(id);
  }
}

void parse_stream(Fields& fields, GenerationOptions& out) {
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

}  // namespace pegainfer::openai

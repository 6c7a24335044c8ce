// The fields that every endpoint that generates text has: sampling, stops, scheduling, streaming.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "pegainfer/engine.h"
#include "pegainfer/sampling_params.h"
#include "pegainfer/tokenizer.h"
#include "server/openai/fields.h"

namespace pegainfer::openai {

// What one request may ask for.
struct ApiLimits {
  int max_n = 8;                // choices for one prompt
  size_t max_prompts = 1024;    // prompts of one request, and choices in all
  size_t max_stops = 16;        // stop strings
  size_t max_stop_bytes = 256;  // bytes of each
  size_t max_stop_token_ids = 256;
  size_t max_messages = 10'000;  // of a chat
  size_t max_logit_bias = 1024;
  size_t max_bad_words = 256;
  int max_logprobs = 20;  // logprobs, top_logprobs and prompt_logprobs
};

// What the model's authors recommend (generation_config.json): used where the request says nothing.
struct SamplingDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<int> top_k;
  std::optional<double> repetition_penalty;
};

// The facts about the server that decide whether a request is valid.
struct RequestContext {
  std::span<const std::string> model_names;  // the first is the one answers carry when the request names none
  const EngineInfo& engine;
  const SamplingDefaults& defaults;
  const ApiLimits& limits;
};

struct StreamOptions {
  bool include_usage = false;     // a last chunk with usage and no choices
  bool continuous_usage = false;  // usage so far on every chunk
};

// What /v1/completions and /v1/chat/completions have in common.
struct GenerationOptions {
  std::string model;
  int n = 1;  // choices for each prompt
  SamplingParams sampling;
  bool max_tokens_given = false;       // false: sampling.max_tokens may shrink to what the context leaves
  std::vector<std::string> bad_words;  // resolve_words() makes sampling.bad_words of them
  std::vector<std::string> dry_sequence_breakers;  // and sampling.dry.sequence_breakers of these
  std::vector<std::string> stop;
  bool include_stop = false;  // the stop string stays in the text
  bool skip_special_tokens = true;
  bool tokens_as_ids = false;  // "token_id:5" in place of texts in logprobs
  bool return_token_ids = false;
  int prompt_logprobs = -1;  // likeliest tokens at each position of the prompt; -1: not asked for
  std::optional<int> truncate_prompt_tokens;  // keep the last so many; -1: that there is room for the answer
  int priority = 0;                           // lower goes first
  std::optional<double> timeout;              // seconds until it ends, wherever it is then
  std::string cache_salt;                     // only requests with the same one share cached prefixes
  std::string request_id;                     // the client's name for it, in traces; "": none
  bool stream = false;
  StreamOptions stream_options;
};

// Each reads its fields and keeps what is wrong in `fields`.
void parse_sampling(Fields& fields, const RequestContext& context, GenerationOptions& out);
void parse_text_options(Fields& fields, const RequestContext& context, GenerationOptions& out);
void parse_prompt_logprobs(Fields& fields, const ApiLimits& limits, GenerationOptions& out);
void parse_scheduling(Fields& fields, GenerationOptions& out);
// After parse_prompt_logprobs(), which streams do not have.
void parse_stream(Fields& fields, GenerationOptions& out);
// And best_of.
void parse_n(Fields& fields, const ApiLimits& limits, GenerationOptions& out);
// Once max_tokens is known; `max_name`: the field that says it.
void check_min_tokens(Fields& fields, std::string_view max_name, const SamplingParams& sampling);
// Fields that are ignored still have a size.
void check_ignored(Fields& fields);
// What no parser asked for is counted and named in the log; the last thing to do with `fields`.
void note_unknown_fields(const Fields& fields);

// Words to tokens; to be called once, where the tokenizer is.
void resolve_words(const Tokenizer& tokenizer, GenerationOptions& options);
// The request as it stays from here on.
template <std::derived_from<GenerationOptions> Request>
std::shared_ptr<const Request> with_words(const Tokenizer& tokenizer, Request request) {
  resolve_words(tokenizer, request);
  return std::make_shared<const Request>(std::move(request));
}

}  // namespace pegainfer::openai

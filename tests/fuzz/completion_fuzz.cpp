// Bodies of requests: whatever is sent is a request within its limits, or a 4xx with a message.
#include <algorithm>
#include <variant>

#include "fuzz.h"
#include "server/openai/api_error.h"
#include "server/openai/completion_request.h"
#include "server/openai/tokenize.h"

namespace pegainfer::openai {
namespace {

template <class T>
bool accepted(const Result<T>& result) {
  if (result) return true;
  fuzz::check_message(result.error().message);
  const ApiError error = to_api_error(result.error());
  CHECK(error.status >= 400 && error.status < 500, "{} for bad input: {}", error.status, error.message);
  return false;
}

void check_ids(const std::vector<TokenId>& ids, int vocab_size) {
  CHECK(std::all_of(ids.begin(), ids.end(), [&](TokenId id) { return id >= 0 && id < vocab_size; }));
}

void check(const CompletionRequest& request, const RequestContext& context) {
  const ApiLimits& limits = context.limits;
  const SamplingParams& s = request.sampling;
  CHECK(request.n >= 1 && request.n <= limits.max_n);
  CHECK(!request.prompts.empty() &&
        request.prompts.size() * static_cast<size_t>(request.n) <= limits.max_prompts);
  for (const Prompt& prompt : request.prompts) {
    if (const auto* ids = std::get_if<std::vector<TokenId>>(&prompt)) {
      CHECK(!ids->empty());
      check_ids(*ids, context.engine.vocab_size);
    } else {
      CHECK(!std::get<std::string>(prompt).empty());
    }
  }
  CHECK(s.temperature >= 0 && s.temperature <= 2 && s.top_p > 0 && s.top_p <= 1 && s.min_p >= 0);
  CHECK(s.max_tokens >= 0 && s.top_k >= -1 && s.logprobs <= limits.max_logprobs);
  check_ids(s.stop_token_ids, context.engine.vocab_size);
  CHECK(request.stop.size() <= limits.max_stops);
  CHECK(std::all_of(request.stop.begin(), request.stop.end(), [&](const std::string& stop) {
    return !stop.empty() && stop.size() <= limits.max_stop_bytes;
  }));
  CHECK(!request.timeout || *request.timeout > 0);
}

}  // namespace
}  // namespace pegainfer::openai

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer;
  using namespace pegainfer::openai;
  static const std::vector<std::string> names{"first", "org/second"};
  static const EngineInfo info{.vocab_size = 260, .max_model_len = 2048, .eos_token_ids = {257}};
  static const SamplingDefaults defaults{.temperature = 0.6, .top_p = 0.9, .min_p = {}, .top_k = 20};
  static const ApiLimits limits;
  const RequestContext context{.model_names = names, .engine = info, .defaults = defaults, .limits = limits};
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  if (const auto request = parse_completion(body, context); accepted(request)) check(*request, context);
  accepted(parse_tokenize(body, names));
  if (const auto ids = parse_detokenize(body, names, info.vocab_size); accepted(ids)) {
    check_ids(*ids, info.vocab_size);
  }
  return 0;
}

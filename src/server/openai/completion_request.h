// POST /v1/completions: from the body to what the engine and the formatter need.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/result.h"
#include "server/openai/generation_options.h"

namespace pegainfer::openai {

using Prompt = std::variant<std::string, std::vector<TokenId>>;

struct CompletionRequest : GenerationOptions {
  std::vector<Prompt> prompts;  // choice index = prompt index * n + j
  bool echo = false;
  int logprobs = -1;
  bool add_special_tokens = true;
};

Result<CompletionRequest> parse_completion(std::string_view body, const RequestContext& context);

}  // namespace pegainfer::openai

// What the answers of the endpoints have in common.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "pegainfer/engine.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer::openai {

// [1,2,3]
void append_ids(std::string& out, std::span<const TokenId> ids);

// The stop string that ended a choice, else the stop token, else null.
void append_stop_reason(std::string& out, const std::optional<std::string>& stop_string,
                        const std::optional<Finish>& finish);

// JSON has no infinity; a token that cannot be is very unlikely, as in vLLM.
void append_logprob(std::string& out, float logprob);

// vLLM's: null for the first token, then {"id": {"logprob": .., "rank": .., "decoded_token": ".."}, ..} with
// the prompt's own token first and up to `count` of the likeliest. Its rank is known when it is among those
// that the engine was asked for; else it is null.
std::string prompt_logprobs_json(std::span<const PositionLogprobs> positions, int count,
                                 const Tokenizer& tokenizer);

}  // namespace pegainfer::openai

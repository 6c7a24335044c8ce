// What the answers of both endpoints have in common of log-probabilities.
#pragma once

#include <span>
#include <string>

#include "pegainfer/engine.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer::openai {

// JSON has no infinity; a token that cannot be is very unlikely, as in vLLM.
void append_logprob(std::string& out, float logprob);

// vLLM's: null for the first token, then {"id": {"logprob": .., "rank": .., "decoded_token": ".."}, ..} with
// the prompt's own token first and up to `count` of the likeliest. Its rank is known when it is among those
// that the engine was asked for; else it is null.
std::string prompt_logprobs_json(std::span<const PositionLogprobs> positions, int count,
                                 const Tokenizer& tokenizer);

}  // namespace pegainfer::openai

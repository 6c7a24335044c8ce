// What submit() refuses, as a function of the engine's facts alone. Real and fake engines share it, so that
// servers are tested against the real errors.
#pragma once

#include "pegainfer/engine.h"
#include "pegainfer/result.h"

namespace pegainfer {

inline constexpr const char* kContextLengthExceeded = "context_length_exceeded";

// Prompt present and inside the vocabulary, prompt + max_tokens <= max_model_len (a prompt that fills it is
// accepted for scoring only), sampling ranges, room in the KV cache, a sink.
Status validate_request(const EngineInfo& info, const GenerateRequest& request);

}  // namespace pegainfer

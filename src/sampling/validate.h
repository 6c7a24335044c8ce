// The ranges of SamplingParams. One place for every way in: HTTP, command line, library.
#pragma once

#include "pegainfer/result.h"
#include "pegainfer/sampling_params.h"

namespace pegainfer {

inline constexpr int kMaxLogprobs = 20;  // top-n of logprobs and prompt_logprobs; executors plan for it
inline constexpr float kMaxTemperature = 2.0F;          // OpenAI's limit
inline constexpr float kMaxRepetitionPenalty = 100.0F;  // far beyond use; a logit times it stays a number

// kInvalidArgument naming the field, the value and what is valid.
Status validate_sampling(const SamplingParams& params, int vocab_size);

}  // namespace pegainfer

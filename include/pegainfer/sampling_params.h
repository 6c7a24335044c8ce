// How the next token of one sequence is chosen and when the sequence ends. Names and defaults are vLLM's.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "pegainfer/ids.h"

namespace pegainfer {

struct SamplingParams {
  float temperature = 1.0F;      // 0: greedy (argmax, lowest id on a tie)
  float top_p = 1.0F;            // (0, 1]; 1: off
  float min_p = 0.0F;            // [0, 1]; 0: off
  int top_k = 0;                 // 0: off
  std::optional<uint64_t> seed;  // of the counter-based generator; empty: the engine picks one at random
  int max_tokens = 16;           // tokens to generate; 0: none (scoring only)
  bool ignore_eos = false;
  std::vector<TokenId>
      stop_token_ids;  // end the sequence; the engine adds the model's EOS set unless ignore_eos
  int logprobs = -1;   // top-n log-probabilities for each generated token; -1: none; 0: the chosen one only
  int prompt_logprobs = -1;  // the same for each prompt token but the first
};

}  // namespace pegainfer

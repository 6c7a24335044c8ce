// How the next token of one sequence is chosen and when the sequence ends. Names and defaults are vLLM's.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "pegainfer/ids.h"

namespace pegainfer {

// Added to a token's logit before anything else looks at it.
struct LogitBias {
  TokenId token = 0;
  float bias = 0;  // -infinity: never
  friend bool operator==(const LogitBias&, const LogitBias&) = default;
};

// DRY ("don't repeat yourself", text-generation-webui #5677): a token that would continue a repetition of at
// least `allowed_length` tokens loses multiplier * base^(length - allowed_length).
struct DryParams {
  float multiplier = 0;                                 // 0: off
  float base = 1.75F;                                   // above 1
  int allowed_length = 2;                               // at least 1
  int penalty_last_n = -1;                              // tokens looked back over; -1: all
  std::vector<std::vector<TokenId>> sequence_breakers;  // a repetition does not reach over one of these
  friend bool operator==(const DryParams&, const DryParams&) = default;
};

// Mirostat (Basu et al. 2021): keeps the surprise of what is drawn near `tau` bits; in place of top_k, top_p,
// min_p and what else cuts the tail.
struct MirostatParams {
  int version = 0;  // 0: off; 1, 2
  float tau = 5.0F;
  float eta = 0.1F;
  friend bool operator==(const MirostatParams&, const MirostatParams&) = default;
};

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

  float presence_penalty = 0;    // [-2, 2]; 0: off
  float frequency_penalty = 0;   // [-2, 2]; 0: off
  float repetition_penalty = 1;  // above 0; 1: off
  int penalty_last_n = -1;       // tokens that the three look back over; -1: all, prompt and output
  std::vector<LogitBias> logit_bias;
  int min_tokens = 0;                           // EOS and stop_token_ids cannot be drawn before so many
  std::vector<std::vector<TokenId>> bad_words;  // token sequences that are not completed
  std::vector<TokenId> allowed_token_ids;       // nothing else is drawn; empty: everything

  // llama-server's stages; docs/sampling.md gives the order of all.
  DryParams dry;
  float typical_p = 1.0F;       // (0, 1]; 1: off
  float top_n_sigma = -1.0F;    // keeps logits within so many standard deviations of the largest; <= 0: off
  float xtc_probability = 0;    // [0, 1]; 0: off
  float xtc_threshold = 0.1F;   // [0, 1]; above 0.5: off
  float dynatemp_range = 0;     // 0: off; temperature moves in [temperature - range, temperature + range]
  float dynatemp_exponent = 1;  // of the normalised entropy
  MirostatParams mirostat;
};

}  // namespace pegainfer

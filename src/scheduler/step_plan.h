// StepPlan and StepResult: what one step of the engine computes and returned. Values, without pointers into
// anybody's state.
#pragma once

#include <cstdint>
#include <vector>

#include "pegainfer/engine.h"
#include "pegainfer/ids.h"

namespace pegainfer {

struct ScheduledSeq {
  RequestId id;
  int num_computed_tokens = 0;       // tokens whose KV is in the cache: the position of token_ids[0]
  std::vector<TokenId> token_ids;    // [new tokens], at least one
  std::vector<int32_t> block_table;  // covers num_computed_tokens + token_ids.size() positions
  bool sample = false;               // the last row's logits give the next token
  // What sample needs.
  float temperature = 1, top_p = 1, min_p = 0;
  int top_k = 0;
  uint64_t seed = 0;
  int logprobs = -1;  // SamplingParams::logprobs
  // Prompt log-probabilities: for row i the target is prompt_targets[i], the token after token_ids[i]; empty:
  // not wanted. At a prompt's end it is one shorter than token_ids.
  std::vector<TokenId> prompt_targets;
  int prompt_logprobs = -1;  // top-n of those rows
};

struct StepPlan {
  std::vector<ScheduledSeq> seqs;
  int num_tokens = 0;
};

struct SeqResult {
  RequestId id;
  std::vector<TokenId> tokens;                    // one when `sample`, else none. -1: the row had a NaN
  std::vector<PositionLogprobs> logprobs;         // [tokens] when asked for
  std::vector<PositionLogprobs> prompt_logprobs;  // [prompt_targets]
};

struct StepResult {
  std::vector<SeqResult> seqs;  // in the order of the plan
};

}  // namespace pegainfer

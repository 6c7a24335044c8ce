// StepDriver: runs sequences through a StepExecutor without a scheduler, in whatever steps a test dictates.
#pragma once

#include <vector>

#include "runner/step_executor.h"

namespace pegainfer::testing {

// A sequence on its way: its tokens so far, its blocks, and what came out.
struct DrivenSeq {
  std::vector<TokenId> tokens;       // prompt, then what was generated
  std::vector<int32_t> block_table;  // enough for all of them
  int prompt_length = 0;
  int num_computed = 0;
  float temperature = 0;
  int top_k = 0;
  uint64_t seed = 0;
  int top_n = 5;  // of all log-probabilities; -1: none
  bool want_prompt_logprobs = true;
  std::vector<PositionLogprobs> prompt_logprobs;
  std::vector<PositionLogprobs> logprobs;

  [[nodiscard]] std::vector<TokenId> generated() const {
    return {tokens.begin() + prompt_length, tokens.end()};
  }
};

DrivenSeq make_seq(std::vector<TokenId> prompt, std::vector<int32_t> block_table);

// One step that computes counts[i] further tokens of seqs[i] (0: not in this step). A sequence whose last
// known token is computed gets its next one.
void run_step_of(StepExecutor& executor, const std::vector<DrivenSeq*>& seqs, const std::vector<int>& counts);

// The whole prompt in chunks of at most `chunk` tokens, then `max_tokens` - 1 steps of one token.
void run_alone(StepExecutor& executor, DrivenSeq& seq, int chunk, int max_tokens);

// Bit for bit, with a message that says where the first difference is; "" when there is none.
std::string first_difference(const std::vector<PositionLogprobs>& a, const std::vector<PositionLogprobs>& b);

}  // namespace pegainfer::testing

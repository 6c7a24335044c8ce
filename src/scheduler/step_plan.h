// StepPlan and StepResult: what one step of the engine computes and returned. Values, without pointers into
// anybody's state. They are made once and filled again: their vectors keep their capacity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "pegainfer/engine.h"
#include "pegainfer/ids.h"
#include "sampling/logits_work.h"

namespace pegainfer {

// Stands for the token that this request's sample in the preceding launch gives: on the device it is known
// by the time this step runs, on the host only when that launch is collected.
inline constexpr TokenId kPendingToken = -1;

struct ScheduledSeq {
  RequestId id;
  int num_computed_tokens = 0;  // tokens whose KV is in the cache: the position of the first token
  int num_tokens = 0;           // new ones, at least one
  int first_token = 0;          // in StepPlan::token_ids
  int first_block = 0;          // in StepPlan::block_ids
  int num_blocks = 0;           // cover num_computed_tokens + num_tokens positions, or more
  bool sample = false;          // the last row's logits give the next token
  // What sample needs.
  float temperature = 1, top_p = 1, min_p = 0;
  int top_k = 0;
  uint64_t seed = 0;
  int logprobs = -1;  // SamplingParams::logprobs
  int work = -1;      // in StepPlan::work.rows: what else happens to the row's logits; -1: nothing
  // Prompt log-probabilities: row first_target_row + i of this sequence has the target
  // StepPlan::prompt_targets[first_target + i], the prompt's token after it.
  int first_target_row = 0;
  int first_target = 0;
  int num_targets = 0;
  int prompt_logprobs = -1;  // top-n of those rows
};

// A request that this plan takes in: for the first time, or again after it was preempted.
struct ScheduledRequest {
  RequestId id;
  int num_cached_tokens = 0;
};

struct StepPlan {
  std::vector<ScheduledSeq> seqs;
  std::vector<TokenId> token_ids;       // [num_tokens]: of all sequences, in their order
  std::vector<int32_t> block_ids;       // block tables, one after the other
  std::vector<TokenId> prompt_targets;  // of all sequences, in their order
  LogitsWorkList work;                  // of the sequences that need some
  std::vector<ScheduledRequest> scheduled;
  std::vector<RequestId> preempted;  // they gave their blocks back and wait again
  int num_tokens = 0;

  void clear() {
    seqs.clear();
    token_ids.clear();
    block_ids.clear();
    prompt_targets.clear();
    work.clear();
    scheduled.clear();
    preempted.clear();
    num_tokens = 0;
  }
  [[nodiscard]] std::span<const TokenId> tokens(const ScheduledSeq& seq) const {
    return std::span(token_ids).subspan(static_cast<size_t>(seq.first_token),
                                        static_cast<size_t>(seq.num_tokens));
  }
  [[nodiscard]] std::span<const int32_t> blocks(const ScheduledSeq& seq) const {
    return std::span(block_ids).subspan(static_cast<size_t>(seq.first_block),
                                        static_cast<size_t>(seq.num_blocks));
  }
  [[nodiscard]] std::span<const TokenId> targets(const ScheduledSeq& seq) const {
    return std::span(prompt_targets)
        .subspan(static_cast<size_t>(seq.first_target), static_cast<size_t>(seq.num_targets));
  }
};

struct SeqResult {
  RequestId id;
  StepTokens tokens;                              // one when `sample`, else none. -1: the row had a NaN
  std::vector<PositionLogprobs> logprobs;         // [tokens] when asked for
  std::vector<PositionLogprobs> prompt_logprobs;  // [num_targets]
  float mirostat_mu = 0;                          // of a row that was sampled on the host
};

struct StepResult {
  std::vector<SeqResult> seqs;  // in the order of the plan
};

}  // namespace pegainfer

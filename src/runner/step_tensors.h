// StepTensors: one step as the device sees it, inputs and outputs. run_step() is the whole of a step's
// compute: the same function runs it, measures its workspace in a dry run, and could be captured into a
// graph.
#pragma once

#include "backend/arena.h"
#include "backend/batch_view.h"
#include "backend/ops.h"
#include "model/model.h"
#include "tensor/tensor.h"

namespace pegainfer {

// Rows of batch.logits_rows come in this order: `num_sampled` rows whose logits give a token, of which the
// last `num_sampled_logprobs` want log-probabilities as well, then prompt rows with given targets, then
// `num_host` rows whose logits go to the host as they are.
struct StepTensors {
  // Rows of logits in memory at a time, usually: the head of a long prompt with log-probabilities is computed
  // in slices.
  static constexpr int kHeadRows = 32;

  BatchView batch;
  int num_sampled = 0;
  int num_sampled_logprobs = 0;
  int top_n = 0;        // of the log-probabilities: the most any row wants
  SamplerView sampler;  // [num_sampled]
  // What happens to the sampled rows' logits before, in this order; each without rows when nothing does.
  LogitEditsView edits;   // [num_sampled]
  MaskView masks;         // [num_sampled]
  PenaltyView penalties;  // [num_sampled]
  int num_host = 0;
  Tensor host_rows;  // [num_host, 1] I32: 0, 1, 2, ...
  // Tokens that the step before samples: where source_rows is not -1 the token is previous_tokens there.
  Tensor previous_tokens;  // [n, 1] I32: out_tokens of the step before
  Tensor source_rows;      // [num_tokens, 1] I32; none when the host knows every token
  Tensor targets;          // [num_logits - num_sampled - num_host, 1] I32

  Tensor out_tokens;        // [num_sampled, 1] I32
  Tensor out_logprobs;      // [targets.rows + num_sampled_logprobs, 1] F32
  Tensor out_top_ids;       // [the same, top_n] I32
  Tensor out_top_logprobs;  // [the same, top_n] F32
  Tensor out_host_logits;   // [num_host, vocab] F32
};

// head_rows: the size of those slices.
void run_step(const Model& model, Ops& ops, Arena& arena, DType arithmetic, int head_rows,
              const StepTensors& step);

}  // namespace pegainfer

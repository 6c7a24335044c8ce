#include "runner/step_tensors.h"

#include <algorithm>

#include "model/forward.h"

namespace pegainfer {

namespace {

SamplerView slice_sampler(const SamplerView& s, int64_t begin, int64_t count) {
  return {s.temperature.slice_rows(begin, count), s.top_k.slice_rows(begin, count),
          s.top_p.slice_rows(begin, count),       s.min_p.slice_rows(begin, count),
          s.seed.slice_rows(begin, count),        s.position.slice_rows(begin, count)};
}

// Log-probabilities of logits row `row` and the `count - 1` after it, which stand from `out_row` on in the
// outputs.
void run_logprobs(Ops& ops, const StepTensors& step, Tensor logits, Tensor targets, int64_t out_row) {
  ops.logprobs(logits, targets, step.top_n, step.out_logprobs.slice_rows(out_row, logits.rows),
               step.out_top_ids.slice_rows(out_row, logits.rows),
               step.out_top_logprobs.slice_rows(out_row, logits.rows));
}

// Rows [begin, end) of the step's logits rows.
void run_head(Ops& ops, const StepTensors& step, Tensor logits, int begin, int end) {
  const int sampled_end = std::min(end, step.num_sampled);
  if (begin < sampled_end) {
    const int count = sampled_end - begin;
    ops.sample(logits.slice_rows(0, count), slice_sampler(step.sampler, begin, count),
               step.out_tokens.slice_rows(begin, count));
  }
  const int first_wanted = step.num_sampled - step.num_sampled_logprobs;
  if (const int from = std::max(begin, first_wanted); from < sampled_end)
    run_logprobs(ops, step, logits.slice_rows(from - begin, sampled_end - from),
                 step.out_tokens.slice_rows(from, sampled_end - from), from - first_wanted);
  if (const int from = std::max(begin, step.num_sampled); from < end)
    run_logprobs(ops, step, logits.slice_rows(from - begin, end - from),
                 step.targets.slice_rows(from - step.num_sampled, end - from), from - first_wanted);
}

}  // namespace

void run_step(const Model& model, Ops& ops, Arena& arena, DType arithmetic, int head_rows,
              const StepTensors& step) {
  arena.reset();
  ops.begin_step(step.batch);
  if (step.source_rows.rows > 0)
    ops.take_tokens(step.previous_tokens, step.source_rows, step.batch.token_ids);
  Forward f(ops, arena, step.batch, arithmetic);
  Tensor rows = model.forward(f);
  const int num_logits = static_cast<int>(step.batch.logits_rows.rows);
  for (int begin = 0; begin < num_logits; begin += head_rows) {
    const int end = std::min(begin + head_rows, num_logits);
    const auto scope = f.scope();
    run_head(ops, step, model.logits(f, rows.slice_rows(begin, end - begin)), begin, end);
  }
}

}  // namespace pegainfer

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

LogitEditsView slice_edits(const LogitEditsView& e, int64_t begin, int64_t count) {
  return {e.begin.slice_rows(begin, count + 1), e.ids, e.adds};
}

PenaltyView slice_penalties(const PenaltyView& p, int64_t begin, int64_t count) {
  return {p.begin.slice_rows(begin, count + 1),
          p.ids,
          p.counts,
          p.repetition.slice_rows(begin, count),
          p.presence.slice_rows(begin, count),
          p.frequency.slice_rows(begin, count)};
}

// Whether the logits of the sampled rows are changed before a token is drawn.
bool has_work(const StepTensors& step) {
  return step.edits.begin.rows > 0 || step.masks.index.rows > 0 || step.penalties.begin.rows > 0;
}

// vLLM's order; docs/sampling.md.
void apply_work(Ops& ops, const StepTensors& step, Tensor logits, int64_t begin) {
  if (step.edits.begin.rows > 0) ops.add_logits(logits, slice_edits(step.edits, begin, logits.rows));
  if (step.masks.index.rows > 0)
    ops.mask_logits(logits, {step.masks.index.slice_rows(begin, logits.rows), step.masks.words});
  if (step.penalties.begin.rows > 0)
    ops.apply_penalties(logits, slice_penalties(step.penalties, begin, logits.rows));
}

// Rows [begin, end) of the step's logits rows, as far as they give a token.
void run_sampling(Ops& ops, const StepTensors& step, Tensor logits, int begin, int end) {
  const int sampled_end = std::min(end, step.num_sampled);
  if (begin >= sampled_end) return;
  const int count = sampled_end - begin;
  const Tensor sampled = logits.slice_rows(0, count);
  apply_work(ops, step, sampled, begin);
  ops.sample(sampled, slice_sampler(step.sampler, begin, count), step.out_tokens.slice_rows(begin, count));
}

// Their log-probabilities; the logits are those of the model.
void run_sampled_logprobs(Ops& ops, const StepTensors& step, Tensor logits, int begin, int end) {
  const int first_wanted = step.num_sampled - step.num_sampled_logprobs;
  const int from = std::max(begin, first_wanted);
  const int to = std::min(end, step.num_sampled);
  if (from >= to) return;
  run_logprobs(ops, step, logits.slice_rows(from - begin, to - from),
               step.out_tokens.slice_rows(from, to - from), from - first_wanted);
}

// The rows that give none: prompt rows, and those that the host wants.
void run_other_rows(Ops& ops, const StepTensors& step, Tensor logits, int begin, int end) {
  const int num_targets = static_cast<int>(step.targets.rows);
  const int first_host = step.num_sampled + num_targets;
  const int from = std::max(begin, step.num_sampled);
  if (const int to = std::min(end, first_host); from < to)
    run_logprobs(ops, step, logits.slice_rows(from - begin, to - from),
                 step.targets.slice_rows(from - step.num_sampled, to - from),
                 from - step.num_sampled + step.num_sampled_logprobs);
  if (const int first = std::max(begin, first_host); first < end)
    ops.gather_rows(logits.slice_rows(first - begin, end - first), step.host_rows.slice_rows(0, end - first),
                    step.out_host_logits.slice_rows(first - first_host, end - first));
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
    const Tensor slice = rows.slice_rows(begin, end - begin);
    // Log-probabilities are the model's own: where the logits were changed they are computed once more.
    const bool twice =
        has_work(step) && begin < step.num_sampled && end > step.num_sampled - step.num_sampled_logprobs;
    {
      const auto scope = f.scope();
      const Tensor logits = model.logits(f, slice);
      run_other_rows(ops, step, logits, begin, end);
      run_sampling(ops, step, logits, begin, end);
      if (!twice) run_sampled_logprobs(ops, step, logits, begin, end);
    }
    if (twice) {
      const auto scope = f.scope();
      run_sampled_logprobs(ops, step, model.logits(f, slice), begin, end);
    }
  }
}

}  // namespace pegainfer

#include "support/step_driver.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/check.h"

namespace pegainfer::testing {

namespace {

void schedule(StepPlan& plan, const DrivenSeq& seq, size_t index, int count) {
  ScheduledSeq& out = plan.seqs.emplace_back();
  const int first = seq.num_computed;
  const int known = static_cast<int>(seq.tokens.size());
  CHECK(count > 0 && first + count <= known, "{} tokens from {} of {}", count, first, known);
  out.id = {index};
  out.num_computed_tokens = first;
  out.num_tokens = count;
  out.first_token = plan.num_tokens;
  plan.token_ids.insert(plan.token_ids.end(), seq.tokens.begin() + first, seq.tokens.begin() + first + count);
  plan.num_tokens += count;
  out.first_block = static_cast<int>(plan.block_ids.size());
  out.num_blocks = static_cast<int>(seq.block_table.size());
  plan.block_ids.insert(plan.block_ids.end(), seq.block_table.begin(), seq.block_table.end());
  out.sample = first + count == known;
  out.temperature = seq.temperature;
  out.top_k = seq.top_k;
  out.seed = seq.seed;
  out.logprobs = seq.top_n;
  out.prompt_logprobs = seq.top_n;
  out.first_target = static_cast<int>(plan.prompt_targets.size());
  const int last_target = std::min(first + count, seq.prompt_length - 1);
  if (!seq.want_prompt_logprobs || first >= last_target) return;
  out.num_targets = last_target - first;
  plan.prompt_targets.insert(plan.prompt_targets.end(), seq.tokens.begin() + first + 1,
                             seq.tokens.begin() + last_target + 1);
}

}  // namespace

DrivenSeq make_seq(std::vector<TokenId> prompt, std::vector<int32_t> block_table) {
  DrivenSeq seq;
  seq.prompt_length = static_cast<int>(prompt.size());
  seq.tokens = std::move(prompt);
  seq.block_table = std::move(block_table);
  return seq;
}

void run_step_of(StepExecutor& executor, const std::vector<DrivenSeq*>& seqs,
                 const std::vector<int>& counts) {
  StepPlan plan;
  for (size_t i = 0; i < seqs.size(); ++i) {
    if (counts[i] == 0) continue;
    schedule(plan, *seqs[i], i, counts[i]);
  }
  executor.launch(plan);
  StepResult result;
  executor.collect(result);
  CHECK(result.seqs.size() == plan.seqs.size(), "{} results of {}", result.seqs.size(), plan.seqs.size());
  for (size_t r = 0; r < result.seqs.size(); ++r) {
    const SeqResult& got = result.seqs[r];
    const ScheduledSeq& asked = plan.seqs[r];
    CHECK(got.id == asked.id && got.tokens.size() == (asked.sample ? 1U : 0U) &&
              got.prompt_logprobs.size() == static_cast<size_t>(asked.num_targets),
          "result {} does not answer its sequence", r);
    DrivenSeq& seq = *seqs[static_cast<size_t>(asked.id.value)];
    seq.num_computed += asked.num_tokens;
    seq.tokens.insert(seq.tokens.end(), got.tokens.begin(), got.tokens.end());
    seq.logprobs.insert(seq.logprobs.end(), got.logprobs.begin(), got.logprobs.end());
    seq.prompt_logprobs.insert(seq.prompt_logprobs.end(), got.prompt_logprobs.begin(),
                               got.prompt_logprobs.end());
  }
}

void run_alone(StepExecutor& executor, DrivenSeq& seq, int chunk, int max_tokens) {
  while (static_cast<int>(seq.tokens.size()) - seq.prompt_length < max_tokens) {
    const int left = static_cast<int>(seq.tokens.size()) - seq.num_computed;
    run_step_of(executor, {&seq}, {std::min(left, chunk)});
  }
}

std::string first_difference(const std::vector<PositionLogprobs>& a, const std::vector<PositionLogprobs>& b) {
  if (a.size() != b.size()) return fmt::format("{} positions against {}", a.size(), b.size());
  const auto same = [](const TokenLogprob& x, const TokenLogprob& y) {
    return x.token == y.token && std::bit_cast<uint32_t>(x.logprob) == std::bit_cast<uint32_t>(y.logprob);
  };
  for (size_t i = 0; i < a.size(); ++i) {
    if (!same(a[i].chosen, b[i].chosen))
      return fmt::format("position {}: token {} {} against token {} {}", i, a[i].chosen.token,
                         a[i].chosen.logprob, b[i].chosen.token, b[i].chosen.logprob);
    if (!std::equal(a[i].top.begin(), a[i].top.end(), b[i].top.begin(), b[i].top.end(), same))
      return fmt::format("position {}: other top tokens", i);
  }
  return "";
}

}  // namespace pegainfer::testing

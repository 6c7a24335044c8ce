#include "support/fake_executor.h"

#include <set>
#include <utility>

#include "base/check.h"

namespace pegainfer::testing {
namespace {

constexpr TokenId kNothing = -7;

uint64_t mix(uint64_t x) {
  x ^= x >> 33U;
  x *= 0xff51afd7ed558ccdULL;
  x ^= x >> 33U;
  x *= 0xc4ceb9fe1a85ec53ULL;
  return x ^ (x >> 33U);
}

}  // namespace

FakeExecutor::FakeExecutor(FakeExecutorOptions options)
    : options_(std::move(options)),
      kv_(static_cast<size_t>(options_.num_kv_blocks) * static_cast<size_t>(options_.block_size), kNothing) {}

uint64_t FakeExecutor::hash_of(const std::vector<TokenId>& tokens, uint64_t seed) {
  uint64_t h = mix(seed + 1);
  for (const TokenId t : tokens) h = mix(h ^ (static_cast<uint64_t>(t) + 0x9e3779b97f4a7c15ULL));
  return h;
}

TokenId FakeExecutor::next_token(const std::vector<TokenId>& tokens, uint64_t seed) const {
  const uint64_t h = hash_of(tokens, seed);
  if (options_.choose) return options_.choose(h, static_cast<int>(tokens.size()));
  return static_cast<TokenId>(h % static_cast<uint64_t>(options_.vocab_size));
}

PositionLogprobs FakeExecutor::logprobs_of(const std::vector<TokenId>& before, TokenId token, int top_n) {
  PositionLogprobs out;
  const uint64_t h = hash_of(before, 0);
  out.chosen = {token, -static_cast<float>(mix(h ^ static_cast<uint64_t>(token)) % 1000) / 100.0F};
  for (int i = 0; i < top_n; ++i)
    out.top.push_back({static_cast<TokenId>((h + static_cast<uint64_t>(i)) % 1000), -static_cast<float>(i)});
  return out;
}

size_t FakeExecutor::slot(const ScheduledSeq& seq, int position) const {
  const int block = seq.block_table.at(static_cast<size_t>(position / options_.block_size));
  CHECK(block > 0 && block < options_.num_kv_blocks, "block {} of {}", block, options_.num_kv_blocks);
  return static_cast<size_t>(block) * static_cast<size_t>(options_.block_size) +
         static_cast<size_t>(position % options_.block_size);
}

void FakeExecutor::launch(const StepPlan& plan) {
  CHECK(static_cast<int>(launched_.size()) < options_.depth, "{} launches are uncollected already",
        launched_.size());
  int num_tokens = 0;
  std::set<RequestId> ids;
  for (const ScheduledSeq& seq : plan.seqs) {
    CHECK(ids.insert(seq.id).second, "request {} is twice in the plan", seq.id.value);
    CHECK(!seq.token_ids.empty(), "request {} has no tokens", seq.id.value);
    CHECK(seq.prompt_targets.size() <= seq.token_ids.size(), "more targets than rows");
    num_tokens += static_cast<int>(seq.token_ids.size());
  }
  CHECK(num_tokens == plan.num_tokens && num_tokens > 0, "{} tokens, the plan says {}", num_tokens,
        plan.num_tokens);
  ++num_launches_;
  launched_.push_back(plan);
}

StepResult FakeExecutor::collect() {
  const StepPlan plan = std::move(launched_.front());
  launched_.pop_front();
  if (options_.on_collect) options_.on_collect(plan);
  // As a device does: all keys of the step are stored before anyone attends.
  for (const ScheduledSeq& seq : plan.seqs)
    for (size_t i = 0; i < seq.token_ids.size(); ++i)
      kv_[slot(seq, seq.num_computed_tokens + static_cast<int>(i))] = seq.token_ids[i];
  StepResult result;
  for (const ScheduledSeq& seq : plan.seqs) result.seqs.push_back(run(seq));
  return result;
}

SeqResult FakeExecutor::run(const ScheduledSeq& seq) {
  SeqResult result;
  result.id = seq.id;
  std::vector<TokenId> context;
  for (int p = 0; p < seq.num_computed_tokens; ++p) context.push_back(kv_[slot(seq, p)]);
  for (size_t i = 0; i < seq.token_ids.size(); ++i) {
    context.push_back(kv_[slot(seq, seq.num_computed_tokens + static_cast<int>(i))]);
    if (i < seq.prompt_targets.size())
      result.prompt_logprobs.push_back(logprobs_of(context, seq.prompt_targets[i], seq.prompt_logprobs));
  }
  if (seq.sample) {
    const TokenId token = next_token(context, seq.seed);
    result.tokens.push_back(token);
    if (seq.logprobs >= 0) result.logprobs.push_back(logprobs_of(context, token, seq.logprobs));
  }
  return result;
}

}  // namespace pegainfer::testing

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

size_t FakeExecutor::slot(const StepPlan& plan, const ScheduledSeq& seq, int position) const {
  const int index = position / options_.block_size;
  CHECK(index < seq.num_blocks, "position {} with {} blocks", position, seq.num_blocks);
  const int block = plan.blocks(seq)[static_cast<size_t>(index)];
  CHECK(block > 0 && block < options_.num_kv_blocks, "block {} of {}", block, options_.num_kv_blocks);
  return static_cast<size_t>(block) * static_cast<size_t>(options_.block_size) +
         static_cast<size_t>(position % options_.block_size);
}

void FakeExecutor::check(const StepPlan& plan) const {
  int num_tokens = 0;
  size_t num_targets = 0;
  std::set<RequestId> ids;
  for (const ScheduledSeq& seq : plan.seqs) {
    CHECK(ids.insert(seq.id).second, "request {} is twice in the plan", seq.id.value);
    CHECK(seq.num_tokens > 0, "request {} has no tokens", seq.id.value);
    CHECK(seq.first_token == num_tokens && seq.first_target == static_cast<int>(num_targets),
          "request {} has its tokens in another's place", seq.id.value);
    CHECK(seq.first_target_row >= 0 && seq.first_target_row + seq.num_targets <= seq.num_tokens,
          "more targets than rows");
    num_tokens += seq.num_tokens;
    num_targets += static_cast<size_t>(seq.num_targets);
    for (const TokenId token : plan.tokens(seq))
      CHECK(token >= 0 || (token == kPendingToken && seq.num_tokens == 1), "token {} of request {}", token,
            seq.id.value);
  }
  CHECK(num_tokens == plan.num_tokens && num_tokens > 0 &&
            plan.token_ids.size() == static_cast<size_t>(num_tokens) &&
            plan.prompt_targets.size() == num_targets,
        "{} tokens, the plan says {}", num_tokens, plan.num_tokens);
}

void FakeExecutor::launch(const StepPlan& plan) {
  CHECK(static_cast<int>(launched_.size()) < options_.depth, "{} launches are uncollected already",
        launched_.size());
  check(plan);
  ++num_launches_;
  launched_.push_back(plan);
}

void FakeExecutor::collect(StepResult& result) {
  const StepPlan plan = std::move(launched_.front());
  launched_.pop_front();
  if (options_.on_collect) options_.on_collect(plan);
  // As a device does: all keys of the step are stored before anyone attends.
  for (const ScheduledSeq& seq : plan.seqs) {
    int position = seq.num_computed_tokens;
    for (const TokenId token : plan.tokens(seq))
      kv_[slot(plan, seq, position++)] = token == kPendingToken ? sampled_.at(seq.id) : token;
  }
  result.seqs.clear();
  for (const ScheduledSeq& seq : plan.seqs) result.seqs.push_back(run(plan, seq));
}

SeqResult FakeExecutor::run(const StepPlan& plan, const ScheduledSeq& seq) {
  SeqResult result;
  result.id = seq.id;
  std::vector<TokenId> context;
  for (int p = 0; p < seq.num_computed_tokens; ++p) context.push_back(kv_[slot(plan, seq, p)]);
  for (int i = 0; i < seq.num_tokens; ++i) {
    context.push_back(kv_[slot(plan, seq, seq.num_computed_tokens + i)]);
    const int target = i - seq.first_target_row;
    if (target >= 0 && target < seq.num_targets)
      result.prompt_logprobs.push_back(
          logprobs_of(context, plan.targets(seq)[static_cast<size_t>(target)], seq.prompt_logprobs));
  }
  if (seq.sample) {
    const TokenId token = next_token(context, seq.seed);
    sampled_[seq.id] = token;
    result.tokens.push_back(token);
    if (seq.logprobs >= 0) result.logprobs.push_back(logprobs_of(context, token, seq.logprobs));
  }
  return result;
}

}  // namespace pegainfer::testing

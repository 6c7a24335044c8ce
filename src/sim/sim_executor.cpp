#include "sim/sim_executor.h"

#include <algorithm>
#include <span>
#include <thread>
#include <utility>

#include "base/check.h"

namespace pegainfer::sim {
namespace {

uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

uint64_t hash_of(uint64_t seed, int position, TokenId previous) {
  const uint64_t place =
      (static_cast<uint64_t>(static_cast<uint32_t>(position)) << 32U) | static_cast<uint32_t>(previous);
  return mix(mix(seed) ^ place);
}

// Values with the shape of log-probabilities: negative, the best first, all from the hash.
PositionLogprobs logprobs_of(uint64_t hash, TokenId token, int top_n, int vocab_size) {
  PositionLogprobs out;
  out.chosen = {token, -static_cast<float>(hash % 1000) / 1000.0F};
  for (int i = 0; i < top_n; ++i) {
    const auto id = static_cast<TokenId>((static_cast<uint64_t>(token) + static_cast<uint64_t>(i)) %
                                         static_cast<uint64_t>(vocab_size));
    out.top.push_back({id, out.chosen.logprob - static_cast<float>(i)});
  }
  return out;
}

}  // namespace

void RealClock::wait_until(TimePoint time) {
  if (time > now()) std::this_thread::sleep_until(time);
}

SimExecutor::SimExecutor(SimExecutorOptions options, std::shared_ptr<SimClock> clock)
    : options_(std::move(options)),
      clock_(std::move(clock)),
      steps_(static_cast<size_t>(options_.depth) + 1) {
  CHECK(options_.depth >= 1, "depth {}", options_.depth);
  CHECK(options_.eos_probability == 0 || !options_.eos_token_ids.empty(), "no EOS to choose");
}

TokenId SimExecutor::next_token(uint64_t seed, int position, TokenId previous) const {
  const uint64_t hash = hash_of(seed, position, previous);
  const double chance = static_cast<double>(mix(hash) >> 11U) * 0x1p-53;
  if (chance < options_.eos_probability) return options_.eos_token_ids.front();
  const int count =
      options_.num_tokens > 0 ? options_.num_tokens : options_.profile.vocab_size - options_.first_token;
  const auto is_eos = [&](TokenId id) {
    return std::ranges::find(options_.eos_token_ids, id) != options_.eos_token_ids.end();
  };
  for (int i = 0; i < count; ++i) {  // the first try but when it is an EOS
    const auto offset = static_cast<int>((hash + static_cast<uint64_t>(i)) % static_cast<uint64_t>(count));
    const TokenId id = options_.first_token + offset;
    if (!is_eos(id)) return id;
  }
  return options_.first_token;
}

// The token that a row's sample follows: known to the plan, or sampled by the launch before.
TokenId SimExecutor::last_token(const StepPlan& plan, size_t row, const Step* before) const {
  const ScheduledSeq& seq = plan.seqs[row];
  const TokenId known = plan.tokens(seq).back();
  if (known != kPendingToken) return known;
  CHECK(before != nullptr, "request {} has a pending token and nothing was launched", seq.id.value);
  const std::vector<SeqResult>& rows = before->result.seqs;
  // Usually the same row of the step before, or one near it.
  for (size_t i = 0; i < rows.size(); ++i) {
    const SeqResult& candidate = rows[(row + i) % rows.size()];
    if (candidate.id == seq.id && !candidate.tokens.empty()) return candidate.tokens.back();
  }
  CHECK(false, "request {} has a pending token that the launch before did not sample", seq.id.value);
  return 0;
}

void SimExecutor::run(const StepPlan& plan, const Step* before, StepResult& result) const {
  result.seqs.resize(plan.seqs.size());
  for (size_t row = 0; row < plan.seqs.size(); ++row) {
    const ScheduledSeq& seq = plan.seqs[row];
    SeqResult& out = result.seqs[row];
    out.id = seq.id;
    out.tokens = {};
    out.logprobs.clear();
    out.prompt_logprobs.clear();
    for (const TokenId target : plan.targets(seq))
      out.prompt_logprobs.push_back(
          logprobs_of(hash_of(0, 0, target), target, seq.prompt_logprobs, options_.profile.vocab_size));
    if (!seq.sample) continue;
    const int position = seq.num_computed_tokens + seq.num_tokens;
    const TokenId token = next_token(seq.seed, position, last_token(plan, row, before));
    out.tokens.push_back(token);
    if (seq.logprobs >= 0)
      out.logprobs.push_back(
          logprobs_of(hash_of(seq.seed, position, token), token, seq.logprobs, options_.profile.vocab_size));
  }
}

void SimExecutor::launch(const StepPlan& plan) {
  CHECK(num_launched_ - num_collected_ < static_cast<uint64_t>(options_.depth), "{} launches are uncollected",
        num_launched_ - num_collected_);
  const Step* before = num_launched_ > 0 ? &steps_[(num_launched_ - 1) % steps_.size()] : nullptr;
  Step& step = steps_[num_launched_ % steps_.size()];
  run(plan, before, step.result);
  const double seconds = step_seconds(options_.profile, work_of(plan));
  busy_seconds_ += seconds;
  free_at_ = std::max(free_at_, clock_->now()) +
             std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(seconds));
  step.end = free_at_;
  ++num_launched_;
}

// The result is copied: the launch after this one may still look its tokens up.
void SimExecutor::collect(StepResult& result) {
  CHECK(num_collected_ < num_launched_, "nothing was launched");
  const Step& step = steps_[num_collected_ % steps_.size()];
  clock_->wait_until(step.end);
  result = step.result;
  ++num_collected_;
}

}  // namespace pegainfer::sim

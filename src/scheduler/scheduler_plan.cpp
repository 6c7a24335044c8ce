// The part of the Scheduler that makes plans: who gets how many tokens of the step, who is taken in, who has
// to give way.
#include <algorithm>

#include "base/check.h"
#include "scheduler/scheduler.h"

namespace pegainfer {
namespace {

// Of the budget left to a prefill, the part it leaves to those behind it: a short prompt then starts beside
// a long one and not after it. What nobody takes goes back to the first.
constexpr int kShareOfOthers = 4;
// A new prompt does not begin with a chunk smaller than this part of the budget: it waits for the next step.
constexpr int kSmallestStart = 32;
// How many held back requests are passed over in one plan: looking at them must not cost the step.
constexpr int kMaxPassedOver = 64;

}  // namespace

void Scheduler::schedule(StepPlan& plan) {
  plan.clear();
  planned_.clear();
  for (Request* request : running_) request->num_planned_tokens = 0;
  if (options_.force_preempt_every > 0) force_preemption(plan);
  int budget = options_.max_num_batched_tokens;
  plan_decodes(plan, budget);
  plan_prefills(budget);
  // Who was preempted wants its blocks back first, so none are given out right away; but work is never left
  // lying with nothing planned.
  if (plan.preempted.empty() || budget == options_.max_num_batched_tokens) plan_admissions(plan, budget);
  plan_leftover(budget);
  for (Request* request : running_)
    if (request->num_planned_tokens > 0) emit(*request, plan);
}

// Tokens it could be given: none when those in flight already make it as long as it may become, or have to
// be known first.
int Scheduler::num_plannable(const Request& request) const {
  const int pending = request.num_pending_tokens;
  if (pending > 0 &&
      (request.waits_for_token() || request.num_output_tokens() + pending >= request.sampling.max_tokens ||
       request.num_tokens() + pending >= options_.max_model_len))
    return 0;
  return request.num_remaining();
}

// Rows of one token come first: whatever long prompt arrives, streams that run go on. In order of rank, so
// that a victim (the last one) has not been planned yet.
void Scheduler::plan_decodes(StepPlan& plan, int& budget) {
  for (size_t i = 0; i < running_.size(); ++i) {
    Request& request = *running_[i];
    if (num_plannable(request) != 1 || budget == 0) continue;
    if (!extend_or_preempt(request, plan)) continue;
    request.num_planned_tokens = 1;
    --budget;
  }
}

// Prompts have had all their blocks since they were taken in.
void Scheduler::plan_prefills(int& budget) {
  for (Request* request : running_) {
    const int wanted = num_plannable(*request);
    if (wanted <= 1) continue;
    const bool others = request != running_.back() || !waiting_.empty();
    request->num_planned_tokens = chunk_of(wanted, budget, others);
    budget -= request->num_planned_tokens;
  }
}

int Scheduler::chunk_of(int wanted, int budget, bool others) const {
  return std::min(wanted, others ? budget - budget / kShareOfOthers : budget);
}

void Scheduler::plan_admissions(StepPlan& plan, int& budget) {
  const int smallest = options_.max_num_batched_tokens / kSmallestStart;
  int num_passed_over = 0;
  auto next = waiting_.begin();
  while (next != waiting_.end() && budget > 0 && num_running() < options_.max_num_seqs) {
    Request& request = **next;
    if (budget < smallest && request.num_remaining() > budget) return;
    const Admitted admitted = admit(request, plan);
    if (admitted == Admitted::kNoRoom) return;
    if (admitted == Admitted::kHeldBack) {
      if (++num_passed_over >= kMaxPassedOver) return;
      ++next;
      continue;
    }
    next = waiting_.erase(next);
    request.num_planned_tokens = chunk_of(request.num_remaining(), budget, next != waiting_.end());
    budget -= request.num_planned_tokens;
  }
}

// What was left for others and not taken.
void Scheduler::plan_leftover(int& budget) {
  for (Request* request : running_) {
    if (budget == 0) return;
    if (request->num_planned_tokens == 0 || num_plannable(*request) <= 1) continue;
    const int more = std::min(request->num_remaining() - request->num_planned_tokens, budget);
    request->num_planned_tokens += more;
    budget -= more;
  }
}

Scheduler::Admitted Scheduler::admit(Request& request, StepPlan& plan) {
  if (request.num_pending_tokens > 0) return Admitted::kNoRoom;  // its next token is on its way
  KvCacheManager::Prefix prefix;
  if (!request.wants_prompt_rows()) prefix = kv_.lookup(request.blocks, request.token_ids);
  if (prefix.pending) return Admitted::kHeldBack;
  // Those that run may each need a block soon: taking the last one would only get somebody preempted.
  const int needed = (request.num_tokens() + kv_.block_size() - 1) / kv_.block_size() - prefix.num_blocks;
  if (!running_.empty() && kv_.num_free() < needed + num_running()) return Admitted::kNoRoom;
  if (!kv_.admit(request.blocks, request.token_ids, prefix.num_blocks)) return Admitted::kNoRoom;

  request.num_computed_tokens = prefix.num_blocks * kv_.block_size();
  request.state = RequestState::kRunning;
  request.num_tokens_when_admitted = request.num_tokens();
  running_.insert(std::upper_bound(running_.begin(), running_.end(), &request, ByRank{}), &request);
  if (!request.was_scheduled) {
    request.was_scheduled = true;
    request.num_cached_tokens = request.num_computed_tokens;
    if (request.blocks.shares) {
      counters_.prefix_cache_queries += static_cast<uint64_t>(request.num_prompt_tokens);
      counters_.prefix_cache_hits += static_cast<uint64_t>(request.num_cached_tokens);
    }
  }
  plan.scheduled.push_back({request.id, request.num_computed_tokens});
  return Admitted::kYes;
}

// Room for the request's next token. False: it sits this plan out, or was itself the one to give way.
bool Scheduler::extend_or_preempt(Request& request, StepPlan& plan) {
  while (!kv_.extend(request.blocks, request.next_position() + 1)) {
    if (num_retiring_ > 0) return false;  // blocks are about to come back
    Request& victim = *running_.back();
    preempt(victim, plan);
    if (&victim == &request) return false;
  }
  return true;
}

// Its blocks are given back at once, even when a launched step still writes to them: launches run in order,
// so whoever gets a block next writes after that. Its tokens stay, and what was published of it can be found
// again.
void Scheduler::preempt(Request& request, StepPlan& plan) {
  running_.erase(std::ranges::find(running_, &request));
  kv_.release(request.blocks);
  ++request.epoch;
  request.num_computed_tokens = 0;
  request.num_inflight_tokens = 0;
  request.num_planned_tokens = 0;
  request.state = RequestState::kWaiting;
  waiting_.insert(&request);
  ++counters_.preemptions;
  plan.preempted.push_back(request.id);
}

void Scheduler::force_preemption(StepPlan& plan) {
  if (++plans_until_preemption_ < options_.force_preempt_every || running_.empty()) return;
  Request& youngest = *running_.back();
  if (youngest.num_tokens() == youngest.num_tokens_when_admitted) return;  // else it would never get on
  plans_until_preemption_ = 0;
  preempt(youngest, plan);
}

void Scheduler::emit(Request& request, StepPlan& plan) {
  const SamplingParams& sampling = request.sampling;
  const int begin = request.next_position();
  const int num_known = request.num_tokens() + request.num_pending_tokens;
  const bool last_row = begin + request.num_planned_tokens == num_known && sampling.max_tokens > 0;
  const bool worked = last_row && request.sampling_state && emit_work(request, plan);
  // What has no room for its row's work now leaves that row to a later step. The first in the plan has room.
  const bool sample = last_row && (worked || !request.sampling_state);
  if (last_row && !sample) --request.num_planned_tokens;
  const int count = request.num_planned_tokens;
  if (count == 0) return;
  const int end = begin + count;
  ScheduledSeq& seq = plan.seqs.emplace_back();
  planned_.push_back(&request);
  seq.id = request.id;
  seq.num_computed_tokens = begin;
  seq.num_tokens = count;
  seq.first_token = plan.num_tokens;
  const auto& ids = request.token_ids;
  const int known = std::min(end, request.num_tokens());
  if (begin < known) plan.token_ids.insert(plan.token_ids.end(), ids.begin() + begin, ids.begin() + known);
  plan.token_ids.resize(static_cast<size_t>(plan.num_tokens + count), kPendingToken);
  plan.num_tokens += count;

  const auto& blocks = request.blocks.blocks;
  seq.first_block = static_cast<int>(plan.block_ids.size());
  seq.num_blocks = static_cast<int>(blocks.size());
  plan.block_ids.resize(plan.block_ids.size() + blocks.size());
  std::ranges::transform(blocks, plan.block_ids.begin() + seq.first_block,
                         [](BlockId id) { return id.value; });

  seq.sample = sample;
  seq.work = worked ? static_cast<int>(plan.work.rows.size()) - 1 : -1;
  seq.temperature = sampling.temperature;
  seq.top_p = sampling.top_p;
  seq.min_p = sampling.min_p;
  seq.top_k = std::max(sampling.top_k, 0);
  seq.seed = *sampling.seed;
  seq.logprobs = sampling.logprobs;
  emit_targets(request, seq, plan);
}

// False: it does not fit beside the others' and was taken back.
bool Scheduler::emit_work(const Request& request, StepPlan& plan) const {
  LogitsWorkList& work = plan.work;
  const size_t num_edits = work.edits.size();
  const size_t num_said = work.said.size();
  const size_t num_mask_words = work.masks.size();
  const int num_masks = work.num_masks;
  const int num_host = work.num_host;
  request.sampling_state->emit(request.token_ids, request.num_pending_tokens, work);
  if (options_.logits_work.hold(work)) return true;
  work.rows.pop_back();
  work.edits.resize(num_edits);
  work.said.resize(num_said);
  work.masks.resize(num_mask_words);
  work.num_masks = num_masks;
  work.num_host = num_host;
  return false;
}

// Rows whose log-probability is not there yet; after a preemption the first ones of a chunk may be.
void Scheduler::emit_targets(const Request& request, ScheduledSeq& seq, StepPlan& plan) const {
  seq.first_target = static_cast<int>(plan.prompt_targets.size());
  if (!request.wants_prompt_rows()) return;
  const int begin = std::max(seq.num_computed_tokens, request.num_prompt_logprobs);
  const int end = std::min(seq.num_computed_tokens + seq.num_tokens, request.num_prompt_tokens - 1);
  if (begin >= end) return;
  seq.prompt_logprobs = request.sampling.prompt_logprobs;
  seq.first_target_row = begin - seq.num_computed_tokens;
  seq.num_targets = end - begin;
  const auto& ids = request.token_ids;
  plan.prompt_targets.insert(plan.prompt_targets.end(), ids.begin() + begin + 1, ids.begin() + end + 1);
}

void Scheduler::on_launched(const StepPlan& plan) {
  CHECK(plan.seqs.size() == planned_.size(), "{} sequences were launched, {} planned", plan.seqs.size(),
        planned_.size());
  Launched launched;
  if (!spare_.empty()) {
    launched = std::move(spare_.back());
    spare_.pop_back();
  }
  launched.clear();
  for (size_t i = 0; i < planned_.size(); ++i) {
    Request& request = *planned_[i];
    const ScheduledSeq& seq = plan.seqs[i];
    CHECK(seq.id == request.id, "request {} was launched, {} planned", seq.id.value, request.id.value);
    launched.push_back({.request = &request,
                        .epoch = request.epoch,
                        .num_tokens = seq.num_tokens,
                        .sample = seq.sample,
                        .first_target = seq.num_computed_tokens + seq.first_target_row,
                        .num_targets = seq.num_targets});
    request.num_inflight_tokens += seq.num_tokens;
    request.num_pending_tokens += seq.sample ? 1 : 0;
    ++request.num_launches;
  }
  launched_.push_back(std::move(launched));
}

}  // namespace pegainfer

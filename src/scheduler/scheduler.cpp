#include "scheduler/scheduler.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace pegainfer {
namespace {

bool contains(const std::vector<TokenId>& ids, TokenId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// Beyond it priorities make no difference: ranks must not overflow.
constexpr int kMaxPriority = 1 << 20;

// What grows with the output grows without allocating, up to a length that is paid for gladly.
void reserve_for_life(Request& request, int64_t positions, int block_size) {
  constexpr int64_t kMost = 1 << 16;
  const int64_t length = std::min(positions + 1, request.num_prompt_tokens + kMost);
  request.token_ids.reserve(static_cast<size_t>(length));
  const auto num_blocks = static_cast<size_t>(length / block_size + 1);
  request.blocks.blocks.reserve(num_blocks);
  if (request.blocks.shares) request.blocks.keys.reserve(num_blocks);
}

}  // namespace

Scheduler::Scheduler(SchedulerOptions options)
    : options_(std::move(options)),
      kv_({.num_blocks = options_.num_kv_blocks,
           .block_size = options_.block_size,
           .enable_prefix_caching = options_.enable_prefix_caching,
           .key_bits = options_.cache_key_bits}) {
  CHECK(options_.max_num_seqs >= 1, "max_num_seqs {}", options_.max_num_seqs);
  // Else rows at the end of the running list could starve.
  CHECK(options_.max_num_batched_tokens >= options_.max_num_seqs,
        "max_num_batched_tokens {} is less than max_num_seqs {}", options_.max_num_batched_tokens,
        options_.max_num_seqs);
}

// Positions to reserve: the model's length ends a sequence as max_tokens does.
int64_t Scheduler::lifetime_positions(const Request& request) const {
  const int64_t cap = std::max(options_.max_model_len - 1, request.num_prompt_tokens);
  return std::min(request.max_positions(), cap);
}

Status Scheduler::add(std::unique_ptr<Request> request) {
  CHECK(request->num_prompt_tokens >= 1 && request->sampling.seed.has_value(), "request {} is not complete",
        request->id.value);
  const int prompt = request->num_prompt_tokens;
  if (prompt > options_.max_model_len ||
      (prompt == options_.max_model_len && request->sampling.max_tokens > 0))
    return invalid_argument(
        fmt::format("This model's maximum context length is {} tokens. However, your request has {} input "
                    "tokens.",
                    options_.max_model_len, prompt),
        "prompt", "context_length_exceeded");
  const int64_t positions = lifetime_positions(*request);
  if (!kv_.can_ever_hold(positions))
    return invalid_argument(
        fmt::format("The KV cache holds {} tokens, which is this server's maximum context length. However, "
                    "your request needs {}.",
                    int64_t{kv_.num_blocks()} * kv_.block_size(), positions),
        "max_tokens", "context_length_exceeded");
  Request* raw = request.get();
  raw->sampling_state =
      SamplingState::create(raw->sampling, options_.eos_token_ids, prompt, options_.vocab_size);
  const bool is_new = requests_.emplace(raw->id, std::move(request)).second;
  CHECK(is_new, "request {} was added twice", raw->id.value);
  raw->rank =
      num_arrivals_++ + kAgingArrivals * std::clamp(raw->options.priority, -kMaxPriority, kMaxPriority);
  kv_.begin(raw->blocks, raw->options.cache_salt, raw->options.group);
  reserve_for_life(*raw, positions, kv_.block_size());
  waiting_.insert(raw);
  return ok_status();
}

void Scheduler::end(RequestId id, FinishReason reason, const std::string& message) {
  const auto it = requests_.find(id);
  if (it == requests_.end() || it->second->state == RequestState::kRetiring) return;
  finish(*it->second, {}, {.reason = reason, .message = message});
}

void Scheduler::end_all(FinishReason reason, const std::string& message) {
  while (!running_.empty()) finish(*running_.back(), {}, {.reason = reason, .message = message});
  while (!waiting_.empty()) finish(**waiting_.begin(), {}, {.reason = reason, .message = message});
}

void Scheduler::take_events(std::vector<RequestEvent>& events) {
  events.clear();
  events.swap(events_);
}

void Scheduler::on_result(StepResult& result) {
  CHECK(!launched_.empty(), "a result without a launch");
  Launched launched = std::move(launched_.front());
  launched_.erase(launched_.begin());
  CHECK(result.seqs.size() == launched.size(), "{} results for {} sequences", result.seqs.size(),
        launched.size());
  for (size_t i = 0; i < launched.size(); ++i) apply(launched[i], result.seqs[i]);
  spare_.push_back(std::move(launched));
}

void Scheduler::apply(const LaunchedSeq& launched, SeqResult& result) {
  Request& request = *launched.request;
  CHECK(result.id == request.id && result.tokens.size() == (launched.sample ? 1U : 0U) &&
            result.prompt_logprobs.size() == static_cast<size_t>(launched.num_targets),
        "the result for request {} has id {}, {} tokens and {} prompt logprobs; {} and {} were asked for",
        request.id.value, result.id.value, result.tokens.size(), result.prompt_logprobs.size(),
        launched.sample ? 1 : 0, launched.num_targets);
  --request.num_launches;
  if (launched.sample) {
    --request.num_pending_tokens;
    if (request.sampling_state) request.sampling_state->set_mirostat_mu(result.mirostat_mu);
  }
  if (request.state == RequestState::kRetiring) {
    if (request.num_launches == 0) remove(request);
    return;
  }
  // After a preemption the KV of this launch is gone; its token and log-probabilities are right all the same.
  const bool has_kv = launched.epoch == request.epoch;
  if (has_kv) {
    request.num_inflight_tokens -= launched.num_tokens;
    request.num_computed_tokens += launched.num_tokens;
  }
  gather_prompt_logprobs(launched, result);
  const bool finite = !launched.sample || result.tokens.front() >= 0;
  if (has_kv && finite) kv_.publish(request.blocks, request.token_ids, request.num_computed_tokens);
  if (launched.sample) {
    count_prompt(request);
    return apply_token(request, result.tokens.front(), std::move(result.logprobs));
  }
  if (request.num_computed_tokens < request.num_prompt_tokens || request.sampling.max_tokens > 0) return;
  count_prompt(request);
  TokenEvent event;
  event.prompt_logprobs = std::move(request.prompt_logprobs);
  finish(request, std::move(event), {.reason = FinishReason::kLength});  // the prompt was all
}

// A chunk that was computed again after a preemption may bring some that are there already.
void Scheduler::gather_prompt_logprobs(const LaunchedSeq& launched, SeqResult& result) {
  Request& request = *launched.request;
  const int known = request.num_prompt_logprobs - launched.first_target;
  if (launched.num_targets == 0 || known >= launched.num_targets) return;
  CHECK(known >= 0, "request {}: log-probabilities from {} on, {} are there", request.id.value,
        launched.first_target, request.num_prompt_logprobs);
  std::move(result.prompt_logprobs.begin() + known, result.prompt_logprobs.end(),
            std::back_inserter(request.prompt_logprobs));
  request.num_prompt_logprobs = launched.first_target + launched.num_targets;
}

void Scheduler::count_prompt(Request& request) {
  if (std::exchange(request.prompt_counted, true)) return;
  counters_.prompt_tokens += static_cast<uint64_t>(request.num_prompt_tokens);
}

void Scheduler::apply_token(Request& request, TokenId token, std::vector<PositionLogprobs> logprobs) {
  TokenEvent event;
  event.prompt_logprobs = std::move(request.prompt_logprobs);
  request.prompt_logprobs.clear();
  const SamplingParams& sampling = request.sampling;
  if (token < 0) {
    kv_.forget(request.blocks);
    finish(
        request, std::move(event),
        {.reason = FinishReason::kError,
         .message = request.sampling_state
                        ? "the model's output for this request is not a number, or its parameters leave no "
                          "token to draw"
                        : "the model's output for this request is not a number"});
    return;
  }
  request.token_ids.push_back(token);
  ++counters_.generation_tokens;
  if (!sampling.ignore_eos && contains(options_.eos_token_ids, token)) {
    finish(request, std::move(event), {.reason = FinishReason::kStop});
    return;
  }
  if (contains(sampling.stop_token_ids, token)) {
    finish(request, std::move(event), {.reason = FinishReason::kStop, .stop_token = token});
    return;
  }
  event.tokens.push_back(token);
  event.logprobs = std::move(logprobs);
  if (request.num_output_tokens() >= sampling.max_tokens || request.num_tokens() >= options_.max_model_len) {
    finish(request, std::move(event), {.reason = FinishReason::kLength});
    return;
  }
  event.usage = request.usage();
  events_.push_back({request.id, std::move(event)});
}

void Scheduler::finish(Request& request, TokenEvent event, Finish end) {
  event.usage = end.usage = request.usage();
  event.finish = std::move(end);
  events_.push_back({request.id, std::move(event)});
  if (request.state == RequestState::kWaiting) {
    waiting_.erase(&request);
  } else {
    running_.erase(std::ranges::find(running_, &request));
  }
  if (request.num_launches > 0) {
    request.state = RequestState::kRetiring;
    ++num_retiring_;
  } else {
    remove(request);
  }
}

void Scheduler::remove(Request& request) {
  if (request.state == RequestState::kRetiring) --num_retiring_;
  kv_.release(request.blocks);
  requests_.erase(request.id);
}

bool Scheduler::check_invariants() const {
  std::vector<const BlockTable*> tables;
  std::unordered_map<const Request*, int> inflight;
  std::unordered_map<const Request*, int> launches;
  for (const Launched& launched : launched_)
    for (const LaunchedSeq& seq : launched) {
      ++launches[seq.request];
      if (seq.epoch == seq.request->epoch) inflight[seq.request] += seq.num_tokens;
    }
  int num_retiring = 0;
  for (const auto& [id, request] : requests_) {
    const Request* r = request.get();
    tables.push_back(&r->blocks);
    if (!check_request(*r)) return false;
    if (r->num_launches != launches[r]) return false;
    if (r->state != RequestState::kRetiring && r->num_inflight_tokens != inflight[r]) return false;
    if (r->state == RequestState::kRetiring) ++num_retiring;
  }
  return num_retiring == num_retiring_ && std::ranges::is_sorted(running_, ByRank{}) &&
         running_.size() + waiting_.size() + static_cast<size_t>(num_retiring) == requests_.size() &&
         num_running() <= options_.max_num_seqs && kv_.check_invariants(tables);
}

bool Scheduler::check_request(const Request& r) const {
  // What a retiring one was given is not counted any more.
  if (r.state != RequestState::kRetiring && r.num_remaining() < 0) return false;
  if (r.num_tokens() + r.num_pending_tokens > options_.max_model_len) return false;
  const auto positions = static_cast<int64_t>(r.blocks.blocks.size()) * kv_.block_size();
  if (r.next_position() > positions) return false;
  const bool waits = waiting_.contains(const_cast<Request*>(&r));  // NOLINT: the set's key type
  const bool runs = std::find(running_.begin(), running_.end(), &r) != running_.end();
  if (waits != (r.state == RequestState::kWaiting) || runs != (r.state == RequestState::kRunning))
    return false;
  if (waits && (!r.blocks.blocks.empty() || r.next_position() != 0)) return false;
  return r.state != RequestState::kRetiring || r.num_launches > 0;
}

}  // namespace pegainfer

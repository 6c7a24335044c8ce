#include "scheduler/scheduler.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "base/check.h"

namespace pegainfer {
namespace {

bool contains(const std::vector<TokenId>& ids, TokenId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// Keeps the order. Stops at the element: ending a long queue from its front is linear.
template <class Queue>
void take_out(Queue& queue, const Request* request) {
  const auto it = std::find(queue.begin(), queue.end(), request);
  CHECK(it != queue.end(), "request {} is not in the queue its state names", request->id.value);
  queue.erase(it);
}

}  // namespace

Scheduler::Scheduler(SchedulerOptions options)
    : options_(std::move(options)), kv_(options_.num_kv_blocks, options_.block_size) {
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
  const bool is_new = requests_.emplace(raw->id, std::move(request)).second;
  CHECK(is_new, "request {} was added twice", raw->id.value);
  waiting_.push_back(raw);
  return ok_status();
}

void Scheduler::cancel(RequestId id) {
  const auto it = requests_.find(id);
  if (it == requests_.end() || it->second->state == RequestState::kRetiring) return;
  finish(*it->second, {}, {.reason = FinishReason::kCancelled});
}

void Scheduler::end_all(FinishReason reason, const std::string& message) {
  const auto running = running_;  // finish() changes the lists
  const auto waiting = waiting_;
  for (Request* request : running) finish(*request, {}, {.reason = reason, .message = message});
  for (Request* request : waiting) finish(*request, {}, {.reason = reason, .message = message});
}

StepPlan Scheduler::schedule() {
  StepPlan plan;
  for (Request* request : running_) plan_request(*request, plan);
  while (!waiting_.empty() && plan.num_tokens < options_.max_num_batched_tokens && admit(*waiting_.front())) {
    waiting_.pop_front();
    plan_request(*running_.back(), plan);
  }
  return plan;
}

bool Scheduler::admit(Request& request) {
  if (num_running() >= options_.max_num_seqs) return false;
  if (!kv_.reserve(request.blocks, static_cast<int>(lifetime_positions(request)))) return false;
  request.state = RequestState::kRunning;
  running_.push_back(&request);
  return true;
}

// Gives the request as many of its remaining tokens as the budget allows.
void Scheduler::plan_request(Request& request, StepPlan& plan) {
  const int count = std::min(request.num_remaining(), options_.max_num_batched_tokens - plan.num_tokens);
  if (count <= 0) return;
  const int begin = request.next_position();
  const int end = begin + count;
  const bool extended = kv_.extend(request.blocks, end);
  CHECK(extended, "request {} has no block for position {}: it was admitted with too few", request.id.value,
        end - 1);

  const SamplingParams& sampling = request.sampling;
  ScheduledSeq& seq = plan.seqs.emplace_back();
  seq.id = request.id;
  seq.num_computed_tokens = begin;
  seq.token_ids.assign(request.token_ids.begin() + begin, request.token_ids.begin() + end);
  std::transform(request.blocks.blocks.begin(), request.blocks.blocks.end(),
                 std::back_inserter(seq.block_table), [](BlockId id) { return id.value; });
  seq.sample = end == request.num_tokens() && sampling.max_tokens > 0;
  seq.temperature = sampling.temperature;
  seq.top_p = sampling.top_p;
  seq.min_p = sampling.min_p;
  seq.top_k = std::max(sampling.top_k, 0);
  seq.seed = *sampling.seed;
  seq.logprobs = sampling.logprobs;
  if (sampling.prompt_logprobs >= 0 && begin + 1 < request.num_prompt_tokens) {
    seq.prompt_logprobs = sampling.prompt_logprobs;
    seq.prompt_targets.assign(request.token_ids.begin() + begin + 1,
                              request.token_ids.begin() + std::min(end + 1, request.num_prompt_tokens));
  }
  plan.num_tokens += count;
}

void Scheduler::on_launched(const StepPlan& plan) {
  Launched launched;
  for (const ScheduledSeq& seq : plan.seqs) {
    const int count = static_cast<int>(seq.token_ids.size());
    requests_.at(seq.id)->num_inflight_tokens += count;
    launched.push_back({seq.id, count, seq.sample, seq.prompt_targets.size()});
  }
  launched_.push_back(std::move(launched));
}

void Scheduler::on_result(StepResult result) {
  CHECK(!launched_.empty(), "a result without a launch");
  const Launched launched = std::move(launched_.front());
  launched_.pop_front();
  CHECK(result.seqs.size() == launched.size(), "{} results for {} sequences", result.seqs.size(),
        launched.size());
  for (size_t i = 0; i < launched.size(); ++i) apply(launched[i], std::move(result.seqs[i]));
}

void Scheduler::apply(const LaunchedSeq& launched, SeqResult result) {
  CHECK(result.id == launched.id && result.tokens.size() == (launched.sample ? 1U : 0U) &&
            result.prompt_logprobs.size() == launched.num_targets,
        "the result for request {} has id {}, {} tokens and {} prompt logprobs; {} and {} were asked for",
        launched.id.value, result.id.value, result.tokens.size(), result.prompt_logprobs.size(),
        launched.sample ? 1 : 0, launched.num_targets);
  Request& request = *requests_.at(launched.id);
  prompt_tokens_total_ += static_cast<uint64_t>(
      std::clamp(request.num_prompt_tokens - request.num_computed_tokens, 0, launched.num_tokens));
  request.num_inflight_tokens -= launched.num_tokens;
  request.num_computed_tokens += launched.num_tokens;
  if (request.state == RequestState::kRetiring) {
    if (request.num_inflight_tokens == 0) remove(request);
    return;
  }
  std::move(result.prompt_logprobs.begin(), result.prompt_logprobs.end(),
            std::back_inserter(request.prompt_logprobs));
  if (request.num_computed_tokens < request.num_prompt_tokens) return;

  TokenEvent event;
  event.prompt_logprobs = std::exchange(request.prompt_logprobs, {});
  if (!launched.sample) {  // max_tokens is 0: the prompt was all
    finish(request, std::move(event), {.reason = FinishReason::kLength});
    return;
  }
  apply_token(request, result.tokens.front(), std::move(result.logprobs), std::move(event));
}

void Scheduler::apply_token(Request& request, TokenId token, std::vector<PositionLogprobs> logprobs,
                            TokenEvent event) {
  const SamplingParams& sampling = request.sampling;
  if (token < 0) {
    finish(
        request, std::move(event),
        {.reason = FinishReason::kError, .message = "the model's output for this request is not a number"});
    return;
  }
  request.token_ids.push_back(token);
  ++generation_tokens_total_;
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
    take_out(waiting_, &request);
  } else {
    take_out(running_, &request);
  }
  if (request.num_inflight_tokens > 0) {
    request.state = RequestState::kRetiring;
  } else {
    remove(request);
  }
}

void Scheduler::remove(Request& request) {
  kv_.release(request.blocks);
  requests_.erase(request.id);
}

bool Scheduler::check_invariants() const {
  std::vector<const BlockTable*> tables;
  std::unordered_map<RequestId, int> inflight;
  for (const Launched& launched : launched_)
    for (const LaunchedSeq& seq : launched) inflight[seq.id] += seq.num_tokens;
  int num_retiring = 0;
  for (const auto& [id, request] : requests_) {
    const Request& r = *request;
    tables.push_back(&r.blocks);
    const auto it = inflight.find(id);
    if (r.num_inflight_tokens != (it == inflight.end() ? 0 : it->second)) return false;
    if (r.num_remaining() < 0 || r.num_tokens() > options_.max_model_len) return false;
    const auto positions = static_cast<int64_t>(r.blocks.blocks.size()) * kv_.block_size();
    if (r.next_position() > positions) return false;
    const bool waits = std::find(waiting_.begin(), waiting_.end(), &r) != waiting_.end();
    const bool runs = std::find(running_.begin(), running_.end(), &r) != running_.end();
    if (waits != (r.state == RequestState::kWaiting) || runs != (r.state == RequestState::kRunning))
      return false;
    if (waits && (!r.blocks.blocks.empty() || r.blocks.num_reserved != 0)) return false;
    if (r.state == RequestState::kRetiring) ++num_retiring;
    if (r.state == RequestState::kRetiring && r.num_inflight_tokens == 0) return false;
  }
  return running_.size() + waiting_.size() + static_cast<size_t>(num_retiring) == requests_.size() &&
         num_running() <= options_.max_num_seqs && kv_.check_invariants(tables);
}

}  // namespace pegainfer

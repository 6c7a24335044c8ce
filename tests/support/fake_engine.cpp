#include "support/fake_engine.h"

#include <algorithm>
#include <iterator>

#include "engine/validate_request.h"
#include "support/fake_tokenizer.h"

namespace pegainfer::testing {
namespace {

constexpr std::chrono::seconds kPatience{10};

bool contains(const std::vector<TokenId>& ids, TokenId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

Usage usage_of(const GenerateRequest& request, int completion_tokens) {
  return {.prompt_tokens = static_cast<int>(request.prompt.size()), .completion_tokens = completion_tokens};
}

}  // namespace

std::vector<TokenId> byte_tokens(std::string_view text) {
  std::vector<TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

FakeScript text_script(std::string_view text) { return {.tokens = byte_tokens(text)}; }

PositionLogprobs fake_logprobs(TokenId token, int top_n, int vocab_size) {
  PositionLogprobs out;
  out.chosen = {token, -static_cast<float>(1 + token % 8) / 8};
  for (int i = 0; i < top_n; ++i)
    out.top.push_back({(token + i) % vocab_size, out.chosen.logprob - 0.5F * static_cast<float>(i)});
  return out;
}

EngineInfo fake_engine_info() {
  EngineInfo info;
  info.model_name = "fake-model";
  info.architecture = "FakeForCausalLM";
  info.dtype = "float32";
  info.vocab_size = FakeTokenizer::kFirstExtra;
  info.max_model_len = 2048;
  info.num_kv_blocks = 1 + 16 * 128;
  info.block_size = 16;
  info.max_num_seqs = 8;
  info.eos_token_ids = {FakeTokenizer::kEos};
  return info;
}

FakeEngine::FakeEngine(FakeEngineOptions options) : options_(std::move(options)) {
  thread_ = std::jthread([this] { loop(); });
}

FakeEngine::~FakeEngine() { shutdown(std::chrono::steady_clock::now()); }

Result<std::unique_ptr<Admission>> FakeEngine::reserve(int64_t /*num_tokens*/) {
  class Place final : public Admission {
   public:
    explicit Place(std::atomic<int>& count) : count_(count) { ++count_; }
    ~Place() override { --count_; }
    void set_num_tokens(int64_t /*num_tokens*/) override {}
    void start() override {}

   private:
    std::atomic<int>& count_;
  };
  const std::lock_guard lock(mutex_);
  if (reservation_refusal_) return Error(*reservation_refusal_);
  return std::unique_ptr<Admission>(std::make_unique<Place>(num_reserved_));
}

void FakeEngine::refuse_reservations(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  reservation_refusal_ = std::move(error);
}

Result<RequestId> FakeEngine::submit(GenerateRequest request) {
  RETURN_IF_ERROR(validate_request(options_.info, request));
  FakeScript script = options_.script ? options_.script(request) : text_script("Hello from the fake engine.");
  const std::lock_guard lock(mutex_);
  if (refusal_) return Error(*refusal_);
  if (draining_) return Error{Code::kUnavailable, "the engine is shutting down", {}, "server_shutting_down"};
  if (!totals_.healthy) return Error{Code::kUnavailable, "the engine has failed", {}, "engine_unavailable"};
  const RequestId id{submitted_.size() + 1};
  SubmittedRequest& seen = submitted_.emplace_back();
  seen = {.id = id,
          .prompt = request.prompt,
          .sampling = request.sampling,
          .priority = request.priority,
          .cache_salt = request.cache_salt,
          .group = request.group,
          .name = request.name,
          .has_place = request.admission != nullptr};
  if (request.deadline) seen.time_left = *request.deadline - std::chrono::steady_clock::now();
  active_.push_back({.id = id, .request = std::move(request), .script = std::move(script)});
  changed_.notify_all();
  return id;
}

void FakeEngine::cancel(RequestId id) {
  const std::lock_guard lock(mutex_);
  cancelled_.push_back(id);
  for (Active& a : active_)
    if (a.id == id && !a.ended) a.ended = Finish{.reason = FinishReason::kCancelled};
  changed_.notify_all();
}

EngineStats FakeEngine::stats() const {
  const std::lock_guard lock(mutex_);
  EngineStats stats = totals_;
  const int count = static_cast<int>(active_.size());
  stats.num_running = std::min(count, options_.max_running);
  stats.num_waiting = count - stats.num_running;
  stats.num_total_blocks = options_.info.num_kv_blocks - 1;
  stats.num_free_blocks = stats.num_total_blocks;
  return stats;
}

void FakeEngine::shutdown(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  draining_ = true;
  deadline_ = std::min(deadline_, deadline);
  changed_.notify_all();
  changed_.wait(lock, [&] { return stop_; });
}

void FakeEngine::step(int count) {
  std::unique_lock lock(mutex_);
  ticks_ += count;
  changed_.notify_all();
  changed_.wait(lock, [&] { return stop_ || (ticks_ == 0 && !busy_); });
}

void FakeEngine::refuse_submits(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  refusal_ = std::move(error);
}

void FakeEngine::kill(std::string message) {
  const std::lock_guard lock(mutex_);
  totals_.healthy = false;
  end_all(FinishReason::kError, message);
  changed_.notify_all();
}

std::vector<SubmittedRequest> FakeEngine::submitted() const {
  const std::lock_guard lock(mutex_);
  return submitted_;
}

std::vector<RequestId> FakeEngine::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

void FakeEngine::time_out(std::string message) {
  const std::lock_guard lock(mutex_);
  end_all(FinishReason::kTimeout, message);
  changed_.notify_all();
}

bool FakeEngine::wait_submitted(size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return submitted_.size() >= count; });
}

bool FakeEngine::wait_cancelled(size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return cancelled_.size() >= count; });
}

bool FakeEngine::wait_idle() const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return active_.empty() && !busy_; });
}

void FakeEngine::end_all(FinishReason reason, const std::string& message) {
  for (Active& a : active_)
    if (!a.ended) a.ended = Finish{.reason = reason, .message = message};
}

bool FakeEngine::has_urgent() const {
  return std::any_of(active_.begin(), active_.end(), [](const Active& a) { return a.ended.has_value(); });
}

// The engine's thread. Everything but the calls of the sinks happens under the mutex.
void FakeEngine::loop() {
  std::unique_lock lock(mutex_);
  auto next_tick = std::chrono::steady_clock::now();
  while (true) {
    const auto now = std::chrono::steady_clock::now();
    if (draining_ && now >= deadline_) end_all(FinishReason::kCancelled, "the engine is shutting down");
    if (draining_ && active_.empty()) break;
    std::vector<Delivery> deliveries;
    if (has_urgent()) {
      deliveries = collect_ended();
    } else if (options_.manual ? ticks_ > 0 : !active_.empty() && now >= next_tick) {
      deliveries = collect_step();
      if (options_.manual) --ticks_;
      next_tick = now + options_.token_interval;
    } else {
      auto wake = draining_ ? deadline_ : now + std::chrono::hours(1);
      if (!options_.manual && !active_.empty()) wake = std::min(wake, next_tick);
      changed_.wait_until(lock, std::min(wake, now + std::chrono::hours(1)));
      continue;
    }
    busy_ = true;
    lock.unlock();
    for (Delivery& d : deliveries) d.first(std::move(d.second));
    deliveries.clear();
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
  stop_ = true;
  changed_.notify_all();
}

std::vector<FakeEngine::Delivery> FakeEngine::collect_ended() {
  std::vector<Delivery> out;
  for (Active& a : active_) {
    if (!a.ended) continue;
    TokenEvent event;
    event.usage = a.ended->usage = usage_of(a.request, a.num_generated);
    event.finish = std::move(a.ended);
    out.emplace_back(std::move(a.request.sink), std::move(event));
    a.id = RequestId{};
  }
  std::erase_if(active_, [](const Active& a) { return a.id == RequestId{}; });
  return out;
}

std::vector<FakeEngine::Delivery> FakeEngine::collect_step() {
  std::vector<Delivery> out;
  ++totals_.num_steps;
  const auto count = std::min(active_.size(), static_cast<size_t>(options_.max_running));
  for (size_t i = 0; i < count; ++i) {
    Active& a = active_[i];
    TokenEvent event = next_event(a);
    totals_.generation_tokens_total += event.tokens.size();
    if (event.finish) a.id = RequestId{};
    out.emplace_back(a.request.sink, std::move(event));
  }
  std::erase_if(active_, [](const Active& a) { return a.id == RequestId{}; });
  return out;
}

TokenEvent FakeEngine::next_event(Active& a) const {
  const SamplingParams& sampling = a.request.sampling;
  TokenEvent event;
  if (a.num_generated == 0 && sampling.prompt_logprobs >= 0)
    std::transform(
        a.request.prompt.begin() + 1, a.request.prompt.end(), std::back_inserter(event.prompt_logprobs),
        [&](TokenId id) { return fake_logprobs(id, sampling.prompt_logprobs, options_.info.vocab_size); });
  std::optional<Finish> finish;
  const auto index = static_cast<size_t>(a.num_generated);
  if (sampling.max_tokens == 0) {
    finish = Finish{.reason = FinishReason::kLength};
  } else if (index < a.script.tokens.size()) {
    const TokenId token = a.script.tokens[index];
    ++a.num_generated;
    if (!sampling.ignore_eos && contains(options_.info.eos_token_ids, token)) {
      finish = Finish{.reason = FinishReason::kStop};
    } else if (contains(sampling.stop_token_ids, token)) {
      finish = Finish{.reason = FinishReason::kStop, .stop_token = token};
    } else {
      event.tokens.push_back(token);
      if (sampling.logprobs >= 0)
        event.logprobs.push_back(fake_logprobs(token, sampling.logprobs, options_.info.vocab_size));
      const bool last = a.script.finish == FinishReason::kLength && index + 1 == a.script.tokens.size();
      if (a.num_generated == sampling.max_tokens || last) finish = Finish{.reason = FinishReason::kLength};
    }
  } else {  // the script is over
    if (a.script.finish == FinishReason::kStop) ++a.num_generated;
    finish = Finish{.reason = a.script.finish, .message = a.script.message};
  }
  event.usage = usage_of(a.request, a.num_generated);
  if (finish) finish->usage = event.usage;
  event.finish = std::move(finish);
  return event;
}

}  // namespace pegainfer::testing

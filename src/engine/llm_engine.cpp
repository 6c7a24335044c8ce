#include "engine/llm_engine.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <limits>
#include <random>
#include <stdexcept>
#include <utility>

#include "base/check.h"
#include "base/log.h"
#include "engine/validate_request.h"

namespace pegainfer {
namespace {

constexpr const char* kShuttingDown = "the engine is shutting down";

uint64_t random_base() {
  std::random_device device;
  return (static_cast<uint64_t>(device()) << 32U) | device();
}

// splitmix64's output function: neighbours in, unrelated numbers out.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31U);
}

SchedulerOptions scheduler_options(const LlmEngineOptions& options) {
  return {.max_num_seqs = options.max_num_seqs,
          .max_num_batched_tokens = options.max_num_batched_tokens,
          .max_model_len = options.info.max_model_len,
          .num_kv_blocks = options.info.num_kv_blocks,
          .block_size = options.info.block_size,
          .enable_prefix_caching = options.enable_prefix_caching,
          .eos_token_ids = options.info.eos_token_ids,
          .vocab_size = options.info.vocab_size,
          .logits_work = logits_work_limits(options.max_num_seqs, options.info.vocab_size),
          .force_preempt_every = options.force_preempt_every};
}

LlmEngineOptions with_info(LlmEngineOptions options) {
  options.info.max_num_seqs = options.max_num_seqs;
  return options;
}

// Ends the loop; caught in run().
struct DeviceFailure final : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace

// The inbox has no bound of its own: a cancel must always get in. How many requests may queue is a matter of
// admission, not of this channel.
LlmEngine::LlmEngine(LlmEngineOptions options, std::unique_ptr<StepExecutor> executor)
    : options_(with_info(std::move(options))),
      seed_base_(options_.seed ? *options_.seed : random_base()),
      admissions_({.max_running = options_.max_num_seqs,
                   .max_queued_requests = options_.max_queued_requests,
                   .max_queued_tokens = options_.max_queued_tokens}),
      inbox_(std::numeric_limits<size_t>::max()),
      executor_(std::move(executor)),
      scheduler_(scheduler_options(options_)) {
  CHECK(executor_ != nullptr && executor_->depth() >= 1, "the engine needs an executor");
  launches_.resize(static_cast<size_t>(executor_->depth()));
  for (Launch& launch : launches_) {  // so that they need not grow, unless blocks are shared
    launch.plan.seqs.reserve(static_cast<size_t>(options_.max_num_seqs));
    launch.plan.token_ids.reserve(static_cast<size_t>(options_.max_num_batched_tokens));
    launch.plan.block_ids.reserve(static_cast<size_t>(options_.info.num_kv_blocks));
  }
  publish();
  thread_ = std::jthread([this] { run(); });
}

LlmEngine::~LlmEngine() { shutdown(std::chrono::steady_clock::now()); }

uint64_t LlmEngine::pick_seed(RequestId id) const { return mix(seed_base_ ^ mix(id.value)); }

Result<std::unique_ptr<Admission>> LlmEngine::reserve(int64_t num_tokens) {
  if (!accepting_.load()) return unavailable();
  return admissions_.reserve(num_tokens);
}

Result<RequestId> LlmEngine::submit(GenerateRequest request) {
  if (!accepting_.load()) return unavailable();
  RETURN_IF_ERROR(validate_request(options_.info, request));
  const auto num_tokens = static_cast<int64_t>(request.prompt.size());
  if (request.admission) {
    request.admission->set_num_tokens(num_tokens);
  } else {
    ASSIGN_OR_RETURN(request.admission, admissions_.reserve(num_tokens));
  }
  const RequestId id{next_id_.fetch_add(1)};
  if (!request.sampling.seed) request.sampling.seed = pick_seed(id);
  RequestOptions request_options{
      .priority = request.priority, .cache_salt = std::move(request.cache_salt), .group = request.group};
  Command command =
      Submit{.request = std::make_unique<Request>(id, std::move(request.prompt), std::move(request.sampling),
                                                  std::move(request_options)),
             .sink = std::move(request.sink),
             .admission = std::move(request.admission),
             .deadline = request.deadline,
             .arrival = request.arrival.value_or(std::chrono::steady_clock::now()),
             .name = std::move(request.name),
             .trace_parent = std::move(request.trace_parent),
             .num_choices = request.num_choices};
  num_submitted_.fetch_add(1);
  if (!inbox_.try_push(command)) {  // closed between the check and here
    num_submitted_.fetch_sub(1);
    return unavailable();
  }
  return id;
}

Error LlmEngine::unavailable() const {
  if (stats().healthy) return {Code::kUnavailable, kShuttingDown, {}, "server_shutting_down"};
  return {
      Code::kUnavailable, "the engine has failed; the server must be restarted", {}, "engine_unavailable"};
}

void LlmEngine::cancel(RequestId id) {
  Command command = Cancel{id};
  (void)inbox_.try_push(command);  // closed: everything has ended
}

void LlmEngine::reset_prefix_cache() {
  Command command = ResetPrefixCache{};
  (void)inbox_.try_push(command);  // closed: nobody will look anything up
}

void LlmEngine::shutdown(TimePoint deadline) {
  CHECK(std::this_thread::get_id() != thread_.get_id(), "a sink must not shut the engine down");
  accepting_.store(false);
  Command command = Shutdown{deadline};
  (void)inbox_.try_push(command);  // closed: it has stopped already
  stopped_.wait(false);
}

EngineStats LlmEngine::stats() const {
  const AdmissionRejections rejections = admissions_.rejections();
  const std::lock_guard lock(published_mutex_);
  EngineStats stats = published_.stats;
  stats.rejections_by_requests_total = rejections.requests;
  stats.rejections_by_tokens_total = rejections.tokens;
  stats.num_waiting += static_cast<int>(num_submitted_.load() - published_.num_received);
  if (published_.working)
    stats.seconds_since_progress =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - published_.progress).count();
  return stats;
}

void LlmEngine::publish() {
  const std::lock_guard lock(published_mutex_);
  EngineStats& stats = published_.stats;
  stats.num_running = scheduler_.num_running();
  stats.num_waiting = scheduler_.num_waiting();
  stats.num_free_blocks = scheduler_.kv().num_free();
  stats.num_total_blocks = scheduler_.kv().num_blocks();
  stats.num_cached_blocks = scheduler_.kv().num_cached();
  stats.num_steps = num_collected_;
  const Scheduler::Counters& counters = scheduler_.counters();
  stats.prompt_tokens_total = counters.prompt_tokens;
  stats.generation_tokens_total = counters.generation_tokens;
  stats.num_preemptions_total = counters.preemptions;
  stats.prefix_cache_queries_total = counters.prefix_cache_queries;
  stats.prefix_cache_hits_total = counters.prefix_cache_hits;
  stats.healthy = healthy_;
  published_.num_received = num_received_;
  published_.working = healthy_ && (!scheduler_.idle() || num_launched_ > num_collected_);
  published_.progress = std::chrono::steady_clock::now();
}

void LlmEngine::run() {
  try {
    loop();
    close(FinishReason::kCancelled, kShuttingDown);
  } catch (const std::exception& e) {
    die(e.what());
  } catch (...) {
    die("an exception of unknown type");
  }
  stopped_.store(true);
  stopped_.notify_all();
}

// Ends when shutting down and everyone has finished or the deadline has passed. There is nothing to wait for
// but commands and steps, so a deadline needs no timer: it is looked at between steps.
void LlmEngine::loop() {
  while (true) {
    const bool idle = scheduler_.idle() && num_launched_ == num_collected_;
    if (deadline_ && (idle || std::chrono::steady_clock::now() >= *deadline_)) return;
    receive(idle);
    expire();
    publish();
    deliver();  // ends of cancelled requests need no step
    turn();
  }
}

// One turn of the pipeline: launch the next step while there is room, then wait for the oldest. With depth 1
// that is a plain serial loop; with more, the host's work on step N happens while N + 1 runs.
void LlmEngine::turn() {
  const bool launched = launch();
  const uint64_t num_inflight = num_launched_ - num_collected_;
  CHECK(launched || num_inflight > 0 || scheduler_.idle(), "{} requests wait and none can run",
        scheduler_.num_waiting());
  if (num_inflight == 0 || (launched && num_inflight < launches_.size())) return;
  collect();
}

// Plans a step and launches it. False: there is nothing to compute before a result is known.
bool LlmEngine::launch() {
  Launch& launch = launches_[num_launched_ % launches_.size()];
  launch.times.plan_begin = stamp();
  scheduler_.schedule(launch.plan);
  note_plan(launch.plan);
  if (launch.plan.num_tokens == 0) return false;
  launch.times.launch_begin = stamp();
  executor_->launch(launch.plan);
  scheduler_.on_launched(launch.plan);
  launch.times.launch_end = stamp();
  ++num_launched_;
  return true;
}

void LlmEngine::note_plan(const StepPlan& plan) {
  for (const ScheduledRequest& scheduled : plan.scheduled) {
    Client& client = clients_.at(scheduled.id);
    if (!client.started && client.admission) client.admission->start();
    client.started = true;
  }
  if (observed()) observe_plan(plan);
  // A step may be long: who looks meanwhile sees them running.
  if (!plan.scheduled.empty() || !plan.preempted.empty()) publish();
}

void LlmEngine::collect() {
  Launch& oldest = launches_[num_collected_ % launches_.size()];
  oldest.times.wait_begin = stamp();
  executor_->collect(result_);
  if (const Status health = executor_->health(); !health) throw DeviceFailure(health.error().message);
  oldest.times.wait_end = stamp();
  scheduler_.on_result(result_);
  ++num_collected_;
  publish();  // before the sinks hear of it: who was told sees the blocks free
  deliver();
  if (observed()) observe_step(oldest);
}

void LlmEngine::receive(bool wait) {
  std::vector<Command> commands = wait ? inbox_.wait_drain(std::stop_token{}) : inbox_.drain();
  for (Command& command : commands) std::visit([this](auto& c) { handle(std::move(c)); }, command);
}

void LlmEngine::handle(Submit command) {
  ++num_received_;
  const RequestId id = command.request->id;
  Client client;
  client.admission = std::move(command.admission);
  client.deadline = command.deadline;
  client.arrival = command.arrival;
  if (observed()) observe_queued(command, client);
  client.sink = std::move(command.sink);
  TokenEvent event;
  event.usage = command.request->usage();
  Status added = scheduler_.add(std::move(command.request));
  if (added) {
    if (client.deadline) deadlines_.insert({*client.deadline, id});
    clients_.emplace(id, std::move(client));
    return;
  }
  // submit() has checked the same; still nobody is left without an end.
  event.finish =
      Finish{.reason = FinishReason::kError, .message = added.error().message, .usage = event.usage};
  close_client(id, std::move(client), std::move(event));
}

void LlmEngine::handle(Cancel command) { scheduler_.cancel(command.id); }

void LlmEngine::handle(ResetPrefixCache /*command*/) { scheduler_.reset_prefix_cache(); }

void LlmEngine::handle(Shutdown command) {
  deadline_ = deadline_ ? std::min(*deadline_, command.deadline) : command.deadline;
}

// Ends requests whose deadline has passed, queued or running.
void LlmEngine::expire() {
  if (deadlines_.empty()) return;
  const TimePoint now = std::chrono::steady_clock::now();
  while (!deadlines_.empty() && deadlines_.begin()->at <= now) {
    const RequestId id = deadlines_.begin()->id;
    deadlines_.erase(deadlines_.begin());
    const Client& client = clients_.at(id);
    const double seconds = std::chrono::duration<double>(now - client.arrival).count();
    scheduler_.end(id, FinishReason::kTimeout,
                   fmt::format("the request's time is over: {:.1f} s after it arrived it was still {}",
                               seconds, client.started ? "running" : "waiting"));
  }
}

void LlmEngine::deliver() {
  scheduler_.take_events(events_);
  if (events_.empty()) return;
  const TimePoint now = stamp();
  for (RequestEvent& e : events_) {
    const auto it = clients_.find(e.id);
    CHECK(it != clients_.end(), "request {} has no sink", e.id.value);
    if (observed()) observe_tokens(e.id, it->second, e.event.usage, now);
    if (!e.event.finish) {
      it->second.sink(std::move(e.event));
      continue;
    }
    const auto node = clients_.extract(it);
    close_client(e.id, std::move(node.mapped()), std::move(e.event));
  }
}

// The finish: who is told of it finds the request's place free, and the observers up to date.
void LlmEngine::close_client(RequestId id, Client client, TokenEvent event) {
  if (client.deadline) deadlines_.erase({*client.deadline, id});
  client.admission.reset();
  if (observed()) observe_finish(id, client, *event.finish, stamp());
  client.sink(std::move(event));
}

// Ends everything that is known or still in the inbox. After it no command gets in.
void LlmEngine::close(FinishReason reason, const std::string& message) {
  accepting_.store(false);
  inbox_.close();
  receive(false);
  scheduler_.end_all(reason, message);
  publish();
  deliver();
}

// A step threw: what it left behind is unknown, so nothing may run any more.
void LlmEngine::die(const std::string& reason) {
  healthy_ = false;
  num_collected_ = num_launched_;  // nobody will collect them
  publish();                       // before submit() starts to refuse, so that it can say why
  LOG_ERROR("the engine has failed: {}", reason);
  const std::string message = "the engine has failed: " + reason;
  close(FinishReason::kError, message);
  for (auto& [id, client] : std::exchange(clients_, {})) {
    TokenEvent event;
    event.finish = Finish{.reason = FinishReason::kError, .message = message};
    close_client(id, std::move(client), std::move(event));
  }
  if (options_.on_dead) options_.on_dead(reason);
}

}  // namespace pegainfer

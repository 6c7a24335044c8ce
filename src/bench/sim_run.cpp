#include "bench/sim_run.h"

#include <fmt/core.h>

#include <chrono>
#include <deque>
#include <memory>
#include <utility>

#include "base/check.h"
#include "scheduler/scheduler.h"
#include "sim/sim_clock.h"
#include "sim/sim_executor.h"

namespace pegainfer::bench {
namespace {

TimePoint at(double seconds) {
  return TimePoint(std::chrono::duration_cast<TimePoint::duration>(std::chrono::duration<double>(seconds)));
}

SchedulerOptions scheduler_options(const SimRunOptions& o) {
  return {.max_num_seqs = o.max_num_seqs,
          .max_num_batched_tokens = o.max_num_batched_tokens,
          .max_model_len = o.profile.max_model_len,
          .num_kv_blocks = o.profile.num_kv_blocks,
          .block_size = o.profile.block_size,
          .enable_prefix_caching = o.enable_prefix_caching};
}

// The turns of LlmEngine's loop, with a clock that jumps.
class SimRun {
 public:
  SimRun(const SimRunOptions& options, const std::vector<BenchRequest>& requests)
      : options_(options),
        requests_(requests),
        clock_(std::make_shared<sim::VirtualClock>()),
        scheduler_(scheduler_options(options)),
        executor_({.profile = options.profile, .depth = options.depth}, clock_) {
    result_.outcomes.resize(requests.size());
    last_.resize(requests.size());
  }

  Result<SimRunResult> run() {
    while (num_done_ < requests_.size()) {
      RETURN_IF_ERROR(take_arrivals());
      if (scheduler_.idle() && num_inflight_ == 0) {
        clock_->wait_until(at(requests_[num_arrived_].arrival));
        continue;
      }
      turn();
    }
    result_.duration = clock_->seconds();
    result_.busy_seconds = executor_.busy_seconds();
    result_.num_preemptions = scheduler_.counters().preemptions;
    return std::move(result_);
  }

 private:
  Status take_arrivals() {
    while (num_arrived_ < requests_.size() && at(requests_[num_arrived_].arrival) <= clock_->now())
      waiting_.push_back(num_arrived_++);
    while (!waiting_.empty() && (options_.max_concurrency == 0 || num_active_ < options_.max_concurrency)) {
      RETURN_IF_ERROR(add(waiting_.front()));
      waiting_.pop_front();
    }
    return ok_status();
  }

  Status add(size_t i) {
    const BenchRequest& request = requests_[i];
    RequestOutcome& out = result_.outcomes[i];
    out.prompt_len = request.prompt_len;
    // A slot that frees is taken at once; an arrival begins when it arrives, also within a step.
    out.start = options_.max_concurrency == 0 ? request.arrival : clock_->seconds();
    SamplingParams sampling;
    sampling.max_tokens = request.output_len;
    sampling.seed = i;
    sampling.ignore_eos = true;
    const Status added = scheduler_.add(std::make_unique<Request>(RequestId{i}, request.prompt, sampling));
    if (!added) return invalid_argument(fmt::format("request {}: {}", i, added.error().message));
    ++num_active_;
    return ok_status();
  }

  void turn() {
    scheduler_.schedule(plan_);
    const bool launch = plan_.num_tokens > 0;
    if (launch) {
      executor_.launch(plan_);
      scheduler_.on_launched(plan_);
      ++num_inflight_;
      ++result_.num_steps;
    }
    CHECK(launch || num_inflight_ > 0, "{} requests wait and none can run", scheduler_.num_waiting());
    if (launch && num_inflight_ < options_.depth) return;
    executor_.collect(step_);
    --num_inflight_;
    scheduler_.on_result(step_);
    scheduler_.take_events(events_);
    for (const RequestEvent& e : events_) deliver(e);
  }

  void deliver(const RequestEvent& e) {
    const auto i = static_cast<size_t>(e.id.value);
    RequestOutcome& out = result_.outcomes[i];
    const double now = clock_->seconds();
    if (!e.event.tokens.empty()) {
      if (out.output_len == 0) {
        out.ttft = now - out.start;
      } else {
        out.itls.push_back(now - last_[i]);
      }
      out.output_len += static_cast<int>(e.event.tokens.size());
      out.latency = now - out.start;
      last_[i] = now;
    }
    if (!e.event.finish) return;
    out.success = e.event.finish->reason == FinishReason::kLength;
    out.error = e.event.finish->message;
    --num_active_;
    ++num_done_;
  }

  const SimRunOptions& options_;
  const std::vector<BenchRequest>& requests_;
  std::shared_ptr<sim::VirtualClock> clock_;
  Scheduler scheduler_;
  sim::SimExecutor executor_;
  StepPlan plan_;
  StepResult step_;
  std::vector<RequestEvent> events_;
  std::deque<size_t> waiting_;  // for max_concurrency
  std::vector<double> last_;    // when the newest token came
  size_t num_arrived_ = 0;
  size_t num_done_ = 0;
  int num_active_ = 0;
  int num_inflight_ = 0;
  SimRunResult result_;
};

}  // namespace

Result<SimRunResult> simulate(const SimRunOptions& options, const std::vector<BenchRequest>& requests) {
  if (options.max_num_seqs < 1 || options.max_num_seqs > options.max_num_batched_tokens)
    return invalid_argument(
        fmt::format("--max-num-seqs is {}; it must be 1 to --max-num-batched-tokens, which is {}",
                    options.max_num_seqs, options.max_num_batched_tokens),
        "--max-num-seqs");
  return SimRun(options, requests).run();
}

}  // namespace pegainfer::bench

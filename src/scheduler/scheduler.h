// Scheduler: decides what the next step computes. A pure state machine: no thread, no clock, no device.
// It counts tokens and knows no phases: every request is given tokens until its computed ones have caught up
// with its known ones, within one budget per step. So prompt chunks and single decode rows share steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kv/kv_cache_manager.h"
#include "pegainfer/engine.h"
#include "pegainfer/result.h"
#include "scheduler/request.h"
#include "scheduler/step_plan.h"

namespace pegainfer {

struct SchedulerOptions {
  int max_num_seqs = 256;            // in one step; at most max_num_batched_tokens
  int max_num_batched_tokens = 512;  // the budget of one step
  int max_model_len = 2048;          // prompt + output
  int num_kv_blocks = 0;             // with the null block
  int block_size = 16;
  std::vector<TokenId> eos_token_ids;
};

struct RequestEvent {
  RequestId id;
  TokenEvent event;
};

class Scheduler {
 public:
  explicit Scheduler(SchedulerOptions options);

  // Queues behind all others. An error when it could never run (context_length_exceeded); ids must be new.
  Status add(std::unique_ptr<Request> request);
  // Ends it now, queued or running: a kCancelled event. Unknown and finished ids are fine.
  void cancel(RequestId id);
  // Ends everything now with `reason` and `message`.
  void end_all(FinishReason reason, const std::string& message);

  // The next step: running requests first, then waiting ones in order of arrival. Admission stops at the
  // first that finds no room (nobody overtakes). num_tokens is 0 when there is nothing to compute now.
  StepPlan schedule();
  // The plan just made was launched. Then the next one may be made before its result is known.
  void on_launched(const StepPlan& plan);
  // The result of the oldest launched plan: new tokens, ends, blocks given back.
  void on_result(StepResult result);

  // What happened since the last call, in order. One event per request and call of the above.
  [[nodiscard]] std::vector<RequestEvent> take_events() { return std::exchange(events_, {}); }

  // Nothing to compute now or later.
  [[nodiscard]] bool idle() const { return requests_.empty(); }
  [[nodiscard]] int num_running() const { return static_cast<int>(running_.size()); }
  [[nodiscard]] int num_waiting() const { return static_cast<int>(waiting_.size()); }
  [[nodiscard]] const KvCacheManager& kv() const { return kv_; }
  [[nodiscard]] uint64_t prompt_tokens_total() const { return prompt_tokens_total_; }
  [[nodiscard]] uint64_t generation_tokens_total() const { return generation_tokens_total_; }
  // Blocks, states and counts agree. Linear in everything: for tests.
  [[nodiscard]] bool check_invariants() const;

 private:
  struct LaunchedSeq {
    RequestId id;
    int num_tokens = 0;
    bool sample = false;
    size_t num_targets = 0;
  };
  using Launched = std::vector<LaunchedSeq>;

  void plan_request(Request& request, StepPlan& plan);
  [[nodiscard]] bool admit(Request& request);
  void apply(const LaunchedSeq& launched, SeqResult result);
  void apply_token(Request& request, TokenId token, std::vector<PositionLogprobs> logprobs, TokenEvent event);
  void finish(Request& request, TokenEvent event, Finish end);
  void remove(Request& request);
  [[nodiscard]] int64_t lifetime_positions(const Request& request) const;

  const SchedulerOptions options_;
  KvCacheManager kv_;
  std::unordered_map<RequestId, std::unique_ptr<Request>> requests_;
  std::vector<Request*> running_;  // in order of admission
  std::deque<Request*> waiting_;   // in order of arrival
  std::deque<Launched> launched_;  // uncollected, oldest first
  std::vector<RequestEvent> events_;
  uint64_t prompt_tokens_total_ = 0;
  uint64_t generation_tokens_total_ = 0;
};

}  // namespace pegainfer

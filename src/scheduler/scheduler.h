// Scheduler: decides what the next step computes. A pure state machine: no thread, no clock, no device.
// It counts tokens and knows no phases: every request is given tokens until its computed ones have caught up
// with its known ones, within one budget per step. So prompt chunks and single decode rows share steps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
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
  bool enable_prefix_caching = true;
  std::vector<TokenId> eos_token_ids;
  int vocab_size = 0;            // of masks of tokens; 0: as far as a request's ids reach
  LogitsWorkLimits logits_work;  // what the executor has room for in a step
  // For tests: every so many plans the youngest running request is preempted although there is room, if it
  // has generated something since it was taken in. 0: never.
  int force_preempt_every = 0;
  int cache_key_bits = 128;  // for tests, see BlockHasher
};

struct RequestEvent {
  RequestId id;
  TokenEvent event;
};

class Scheduler {
 public:
  // A request is overtaken by at most so many later ones for each unit of priority between them: waiting
  // makes up for priority, and nobody starves.
  static constexpr int64_t kAgingArrivals = 64;

  explicit Scheduler(SchedulerOptions options);

  // Queues it by priority and arrival. An error when it could never run (context_length_exceeded); ids must
  // be new.
  Status add(std::unique_ptr<Request> request);
  // Ends it now, queued or running, with `reason`. Unknown and finished ids are fine.
  void end(RequestId id, FinishReason reason, const std::string& message);
  void cancel(RequestId id) { end(id, FinishReason::kCancelled, {}); }
  // Ends everything now with `reason` and `message`.
  void end_all(FinishReason reason, const std::string& message);
  // Cached prefixes are forgotten; blocks in use stay with their requests.
  void reset_prefix_cache() { kv_.reset(); }

  // The next step: running requests first, then waiting ones by rank. Admission stops at the first that finds
  // no room (nobody overtakes it); one whose prefix another is computing right now is passed over.
  // num_tokens is 0 when there is nothing to compute now.
  void schedule(StepPlan& plan);
  // The plan just made was launched. Then the next one may be made before its result is known.
  void on_launched(const StepPlan& plan);
  // The result of the oldest launched plan: new tokens, ends, blocks given back. Values are moved out of it.
  void on_result(StepResult& result);

  // What happened since the last call, in order, in place of what `events` held. One event per request and
  // call of the above.
  void take_events(std::vector<RequestEvent>& events);

  // Nothing to compute now or later.
  [[nodiscard]] bool idle() const { return requests_.empty(); }
  [[nodiscard]] int num_running() const { return static_cast<int>(running_.size()); }
  [[nodiscard]] int num_waiting() const { return static_cast<int>(waiting_.size()); }
  [[nodiscard]] const KvCacheManager& kv() const { return kv_; }

  struct Counters {
    uint64_t prompt_tokens = 0;  // of requests whose prompt is through, cached ones included
    uint64_t generation_tokens = 0;
    uint64_t preemptions = 0;
    uint64_t prefix_cache_queries = 0;  // prompt tokens looked up
    uint64_t prefix_cache_hits = 0;     // and found
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }
  // Blocks, states and counts agree. Linear in everything: for tests.
  [[nodiscard]] bool check_invariants() const;

 private:
  struct ByRank {
    bool operator()(const Request* a, const Request* b) const {
      return a->rank != b->rank ? a->rank < b->rank : a->id < b->id;
    }
  };
  struct LaunchedSeq {
    Request* request = nullptr;
    int epoch = 0;
    int num_tokens = 0;
    bool sample = false;
    int first_target = 0;  // index of the prompt's log-probabilities
    int num_targets = 0;
  };
  using Launched = std::vector<LaunchedSeq>;
  enum class Admitted : uint8_t { kYes, kHeldBack, kNoRoom };

  // scheduler_plan.cpp
  void force_preemption(StepPlan& plan);
  void plan_decodes(StepPlan& plan, int& budget);
  void plan_prefills(int& budget);
  void plan_admissions(StepPlan& plan, int& budget);
  void plan_leftover(int& budget);
  bool extend_or_preempt(Request& request, StepPlan& plan);
  void preempt(Request& request, StepPlan& plan);
  Admitted admit(Request& request, StepPlan& plan);
  [[nodiscard]] int num_plannable(const Request& request) const;
  [[nodiscard]] int chunk_of(int wanted, int budget, bool others) const;
  void emit(Request& request, StepPlan& plan);
  [[nodiscard]] bool emit_work(const Request& request, StepPlan& plan) const;
  void emit_targets(const Request& request, ScheduledSeq& seq, StepPlan& plan) const;

  // scheduler.cpp
  void apply(const LaunchedSeq& launched, SeqResult& result);
  void gather_prompt_logprobs(const LaunchedSeq& launched, SeqResult& result);
  void count_prompt(Request& request);
  void apply_token(Request& request, TokenId token, std::vector<PositionLogprobs> logprobs);
  void finish(Request& request, TokenEvent event, Finish end);
  void remove(Request& request);
  [[nodiscard]] int64_t lifetime_positions(const Request& request) const;
  [[nodiscard]] bool check_request(const Request& request) const;

  const SchedulerOptions options_;
  KvCacheManager kv_;
  std::unordered_map<RequestId, std::unique_ptr<Request>> requests_;
  std::vector<Request*> running_;  // by rank: the last one is the first to be preempted
  std::set<Request*, ByRank> waiting_;
  std::vector<Request*> planned_;   // of the last plan, in its order
  std::vector<Launched> launched_;  // uncollected, oldest first; a few at most
  std::vector<Launched> spare_;     // to be filled again
  std::vector<RequestEvent> events_;
  int64_t num_arrivals_ = 0;
  int num_retiring_ = 0;
  int plans_until_preemption_ = 0;
  Counters counters_;
};

}  // namespace pegainfer

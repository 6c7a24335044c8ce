// Drives a Scheduler with a FakeExecutor as the engine loop does, and keeps what each request was told.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "scheduler/scheduler.h"
#include "support/fake_executor.h"

namespace pegainfer::testing {

struct Told {
  std::vector<TokenId> tokens;
  std::vector<PositionLogprobs> logprobs;
  std::vector<PositionLogprobs> prompt_logprobs;
  std::optional<Finish> finish;
  int num_events = 0;
};

class Harness {
 public:
  Harness(SchedulerOptions options, FakeExecutorOptions executor)
      : options_(fit(std::move(options), executor)), scheduler(options_), executor_(std::move(executor)) {}

  Status add(uint64_t id, std::vector<TokenId> prompt, SamplingParams sampling, RequestOptions request = {}) {
    if (!sampling.seed) sampling.seed = id;
    return scheduler.add(
        std::make_unique<Request>(RequestId{id}, std::move(prompt), std::move(sampling), std::move(request)));
  }
  void cancel(uint64_t id) {
    scheduler.cancel(RequestId{id});
    listen();
  }
  // Schedules and launches; empty plan: nothing launched.
  StepPlan launch() {
    StepPlan plan;
    scheduler.schedule(plan);
    expect(plan.num_tokens <= options_.max_num_batched_tokens &&
           static_cast<int>(plan.seqs.size()) <= options_.max_num_seqs &&
           options_.logits_work.hold(plan.work));
    if (plan.num_tokens > 0) {
      executor_.launch(plan);
      scheduler.on_launched(plan);
      ++num_inflight_;
    }
    check_invariants();
    return plan;
  }
  void collect() {
    StepResult result;
    executor_.collect(result);
    scheduler.on_result(result);
    --num_inflight_;
    listen();
    check_invariants();
  }
  // One turn of the loop: launch when possible, collect when the pipeline is full or nothing could be
  // launched.
  StepPlan step() {
    if (num_inflight_ == executor_.depth()) collect();
    StepPlan plan = launch();
    if (num_inflight_ > 0 && (plan.num_tokens == 0 || num_inflight_ == executor_.depth())) collect();
    return plan;
  }
  void run_until_idle() {
    for (int i = 0; !scheduler.idle(); ++i) {
      const int before = num_inflight_;
      const StepPlan plan = step();
      ASSERT_TRUE(plan.num_tokens > 0 || before > 0) << "no progress";
      ASSERT_LT(i, 100000);
    }
    EXPECT_EQ(scheduler.kv().num_free(), scheduler.kv().num_blocks());
  }
  void listen() {
    std::vector<RequestEvent> events;
    scheduler.take_events(events);
    for (RequestEvent& e : events) {
      Told& t = told[e.id.value];
      expect(!t.finish);  // nothing after the finish
      ++t.num_events;
      t.tokens.insert(t.tokens.end(), e.event.tokens.begin(), e.event.tokens.end());
      for (auto& l : e.event.logprobs) t.logprobs.push_back(std::move(l));
      if (!e.event.prompt_logprobs.empty()) {
        expect(t.prompt_logprobs.empty() && t.num_events == 1);  // once, before or with the first token
        t.prompt_logprobs = std::move(e.event.prompt_logprobs);
      }
      if (e.event.finish) {
        expect(e.event.finish->usage.completion_tokens == e.event.usage.completion_tokens);
        t.finish = std::move(e.event.finish);
      }
    }
  }
  // Set with a failure of the test unless `quiet`: a trace that fails is run again and again to shrink it.
  bool invariants_broken = false;
  bool contract_broken = false;
  bool quiet = false;

  [[nodiscard]] int num_inflight() const { return num_inflight_; }
  [[nodiscard]] const FakeExecutor& executor() const { return executor_; }

 private:
  void expect(bool holds) {
    if (holds) return;
    contract_broken = true;
    if (!quiet) ADD_FAILURE() << "the contract is broken";
  }
  void check_invariants() {
    if (scheduler.check_invariants()) return;
    invariants_broken = true;
    if (!quiet) ADD_FAILURE() << "an invariant is broken";
  }
  static SchedulerOptions fit(SchedulerOptions options, const FakeExecutorOptions& executor) {
    options.num_kv_blocks = executor.num_kv_blocks;
    options.block_size = executor.block_size;
    return options;
  }
  SchedulerOptions options_;

 public:
  Scheduler scheduler;
  std::map<uint64_t, Told> told;

 private:
  FakeExecutor executor_;
  int num_inflight_ = 0;
};

// What a request must be told, computed alone: no batch, no blocks, no chunks.
struct Expected {
  std::vector<TokenId> tokens;
  FinishReason reason = FinishReason::kLength;
  std::optional<TokenId> stop_token;
  int completion_tokens = 0;
};

inline Expected expect_alone(const FakeExecutor& model, const SchedulerOptions& options,
                             std::vector<TokenId> tokens, const SamplingParams& sampling) {
  Expected e;
  const auto has = [](const std::vector<TokenId>& ids, TokenId id) {
    return std::find(ids.begin(), ids.end(), id) != ids.end();
  };
  while (e.completion_tokens < sampling.max_tokens &&
         static_cast<int>(tokens.size()) < options.max_model_len) {
    const TokenId token = model.next_token(tokens, *sampling.seed);
    if (token < 0) {
      e.reason = FinishReason::kError;
      break;
    }
    ++e.completion_tokens;
    const bool eos = !sampling.ignore_eos && has(options.eos_token_ids, token);
    if (eos || has(sampling.stop_token_ids, token)) {
      e.reason = FinishReason::kStop;
      if (!eos) e.stop_token = token;
      break;
    }
    tokens.push_back(token);
    e.tokens.push_back(token);
  }
  return e;
}

}  // namespace pegainfer::testing

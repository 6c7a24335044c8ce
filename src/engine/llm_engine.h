// LlmEngine: the loop between requests and steps. One thread owns the scheduler and drives the executor;
// everybody else talks to it through a channel of commands. docs/engine_contract.md says what it promises.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/channel.h"
#include "base/clock.h"
#include "engine/admission.h"
#include "engine/engine_observer.h"
#include "pegainfer/engine.h"
#include "runner/step_executor.h"
#include "scheduler/scheduler.h"

namespace pegainfer {

struct LlmEngineOptions {
  EngineInfo info;  // num_kv_blocks with the null block
  int max_num_seqs = 256;
  int max_num_batched_tokens = 512;
  int max_queued_requests = 0;    // requests that wait, beyond max_num_seqs; 0: no limit
  int64_t max_queued_tokens = 0;  // prompt tokens of requests that wait; 0: no limit
  bool enable_prefix_caching = true;
  int force_preempt_every = 0;  // of SchedulerOptions, for tests
  // Told of requests and steps on the engine's thread.
  std::vector<std::shared_ptr<EngineObserver>> observers;
  // Seeds of requests that bring none are drawn from this; empty: from std::random_device. With it a server
  // answers the same requests, in the same order, the same way.
  std::optional<uint64_t> seed;
  // Called once on the engine's thread when a step has failed and every request was told: the process should
  // end.
  std::function<void(const std::string& reason)> on_dead;
};

class LlmEngine final : public Engine {
 public:
  LlmEngine(LlmEngineOptions options, std::unique_ptr<StepExecutor> executor);
  ~LlmEngine() override;  // shutdown(now)
  LlmEngine(const LlmEngine&) = delete;
  LlmEngine& operator=(const LlmEngine&) = delete;

  Result<std::unique_ptr<Admission>> reserve(int64_t num_tokens) override;
  uint64_t new_group() override { return next_group_.fetch_add(1); }
  Result<RequestId> submit(GenerateRequest request) override;
  void cancel(RequestId id) override;
  void reset_prefix_cache() override;
  [[nodiscard]] const EngineInfo& info() const override { return options_.info; }
  [[nodiscard]] EngineStats stats() const override;
  void shutdown(TimePoint deadline) override;

 private:
  struct Submit {
    std::unique_ptr<Request> request;
    TokenSink sink;
    std::unique_ptr<Admission> admission;
    std::optional<TimePoint> deadline;
    TimePoint arrival;
    std::string name;
    std::string trace_parent;
    int num_choices = 1;
  };
  struct Cancel {
    RequestId id;
  };
  struct ResetPrefixCache {};
  struct Shutdown {
    TimePoint deadline;
  };
  using Command = std::variant<Submit, Cancel, ResetPrefixCache, Shutdown>;

  // A request as the loop knows it.
  struct Client {
    TokenSink sink;
    std::unique_ptr<Admission> admission;  // given back with the finish
    std::optional<TimePoint> deadline;
    bool started = false;  // was taken into a step
    TimePoint arrival;
    RequestTimes times;  // the rest is kept for observers only
    int num_tokens = 0;
  };
  struct Deadline {
    TimePoint at;
    RequestId id;
    bool operator<(const Deadline& other) const {
      return at != other.at ? at < other.at : id.value < other.id.value;
    }
  };
  // A plan from its making until its result has been delivered.
  struct Launch {
    StepPlan plan;
    StepObservation times;  // for observers only
  };

  void run();
  void loop();
  void receive(bool wait);
  void handle(Submit command);
  void handle(Cancel command);
  void handle(ResetPrefixCache command);
  void handle(Shutdown command);
  void expire();
  void turn();
  bool launch();
  void note_plan(const StepPlan& plan);
  void collect();
  void deliver();
  void close_client(RequestId id, Client client, TokenEvent event);
  void die(const std::string& reason);
  void close(FinishReason reason, const std::string& message);
  void publish();
  [[nodiscard]] uint64_t pick_seed(RequestId id) const;
  [[nodiscard]] Error unavailable() const;

  // Observers; none of this costs anything without them.
  [[nodiscard]] bool observed() const { return !options_.observers.empty(); }
  // The time for an observation.
  [[nodiscard]] TimePoint stamp() const {
    return observed() ? std::chrono::steady_clock::now() : TimePoint();
  }
  void observe_queued(const Submit& command, Client& client);
  void observe_plan(const StepPlan& plan);
  void observe_tokens(RequestId id, Client& client, const Usage& usage, TimePoint now);
  void observe_finish(RequestId id, Client& client, const Finish& finish, TimePoint now);
  void observe_step(Launch& launch);

  const LlmEngineOptions options_;
  const uint64_t seed_base_;
  AdmissionQueue admissions_;
  std::atomic<uint64_t> next_id_{1};
  std::atomic<uint64_t> next_group_{1};
  std::atomic<bool> accepting_{true};
  Channel<Command> inbox_;

  // What stats() shows, written by the loop when a step begins and ends.
  struct Published {
    EngineStats stats;
    uint64_t num_received = 0;  // submits taken from the inbox
    bool working = false;
    TimePoint progress;
  };
  mutable std::mutex published_mutex_;
  Published published_;
  std::atomic<uint64_t> num_submitted_{0};
  std::atomic<bool> stopped_{false};

  // The loop's own.
  std::unique_ptr<StepExecutor> executor_;
  Scheduler scheduler_;
  std::unordered_map<RequestId, Client> clients_;
  std::set<Deadline> deadlines_;  // of clients, the nearest first
  std::vector<Launch> launches_;  // launch n is launches_[n % depth]; all are filled again and again
  uint64_t num_launched_ = 0;
  uint64_t num_collected_ = 0;
  StepResult result_;
  std::vector<RequestEvent> events_;
  uint64_t num_received_ = 0;
  std::optional<TimePoint> deadline_;  // set: shutting down
  bool healthy_ = true;

  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace pegainfer

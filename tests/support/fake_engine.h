// FakeEngine: an Engine whose tokens a test writes down and whose time it controls. It keeps the contract
// (validation, one thread for sinks, exactly one finish), so what a server does with it, it does with the
// real one.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "pegainfer/engine.h"

namespace pegainfer::testing {

// What one request is answered with: one token an event, then the end. An EOS of EngineInfo or a
// stop_token_ids entry among the tokens ends it early, as does max_tokens.
struct FakeScript {
  std::vector<TokenId> tokens;
  FinishReason finish = FinishReason::kStop;  // kStop: an EOS after the tokens, counted; kLength, kError
  std::string message;                        // for kError
};

// The byte tokens of `text`, for FakeTokenizer.
std::vector<TokenId> byte_tokens(std::string_view text);
FakeScript text_script(std::string_view text);

// What FakeEngine reports for `token`: the chosen one at -(1 + token % 8) / 8, `top_n` entries that begin
// with it and go on with token + 1, token + 2, ... each a half lower.
PositionLogprobs fake_logprobs(TokenId token, int top_n, int vocab_size);

EngineInfo fake_engine_info();  // "fake-model", FakeTokenizer's vocabulary and EOS, 2048 positions

struct FakeEngineOptions {
  EngineInfo info = fake_engine_info();
  // Empty: every request gets text_script("Hello from the fake engine.").
  std::function<FakeScript(const GenerateRequest&)> script = {};
  bool manual = false;                         // true: tokens come only by step()
  std::chrono::microseconds token_interval{};  // between events when not manual
  int max_running = 256;                       // later ones wait their turn
};

struct SubmittedRequest {
  RequestId id;
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  int priority = 0;
  std::string cache_salt;
  uint64_t group = 0;
  std::string name;
  std::optional<std::chrono::steady_clock::duration> time_left;  // until the deadline, when it was submitted
  bool has_place = false;                                        // an Admission came with it
};

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(FakeEngineOptions options = {});
  ~FakeEngine() override;
  FakeEngine(const FakeEngine&) = delete;
  FakeEngine& operator=(const FakeEngine&) = delete;

  Result<std::unique_ptr<Admission>> reserve(int64_t num_tokens) override;
  uint64_t new_group() override { return ++num_groups_; }
  Result<RequestId> submit(GenerateRequest request) override;
  void cancel(RequestId id) override;
  void reset_prefix_cache() override { ++num_cache_resets_; }
  [[nodiscard]] const EngineInfo& info() const override { return options_.info; }
  [[nodiscard]] EngineStats stats() const override;
  void shutdown(std::chrono::steady_clock::time_point deadline) override;

  // Manual mode: `count` times one event for each running request; returns when the sinks were called.
  void step(int count = 1);
  // The next submits are refused with this error; empty: accepted again.
  void refuse_submits(std::optional<Error> error);
  // The next reservations are refused with this error; empty: accepted again.
  void refuse_reservations(std::optional<Error> error);
  // As a deadline: every request ends with kTimeout.
  void time_out(std::string message);
  // As a failed step: every request ends with kError, the engine is unhealthy and refuses.
  void kill(std::string message);

  [[nodiscard]] std::vector<SubmittedRequest> submitted() const;    // all accepted so far, in order
  [[nodiscard]] std::vector<RequestId> cancelled() const;           // all cancel() calls so far, in order
  [[nodiscard]] int num_reserved() const { return num_reserved_; }  // places not given back
  [[nodiscard]] int num_cache_resets() const { return num_cache_resets_; }
  // Wait (10 s at most) until there were as many; false: there were not.
  [[nodiscard]] bool wait_submitted(size_t count) const;
  [[nodiscard]] bool wait_cancelled(size_t count) const;
  [[nodiscard]] bool wait_idle() const;  // until no request is left

 private:
  struct Active {
    RequestId id;
    GenerateRequest request;
    FakeScript script;
    int num_generated = 0;
    std::optional<Finish> ended;  // by cancel, kill or shutdown
  };
  using Delivery = std::pair<TokenSink, TokenEvent>;

  void loop();
  [[nodiscard]] bool has_urgent() const;
  std::vector<Delivery> collect_ended();
  std::vector<Delivery> collect_step();
  TokenEvent next_event(Active& active) const;
  void end_all(FinishReason reason, const std::string& message);

  const FakeEngineOptions options_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::deque<Active> active_;
  std::vector<SubmittedRequest> submitted_;
  std::vector<RequestId> cancelled_;
  std::optional<Error> refusal_;
  std::optional<Error> reservation_refusal_;
  std::atomic<int> num_reserved_ = 0;
  std::atomic<int> num_cache_resets_ = 0;
  std::atomic<uint64_t> num_groups_ = 0;
  EngineStats totals_;
  std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
  int ticks_ = 0;      // manual steps asked for
  bool busy_ = false;  // sinks are being called
  bool draining_ = false;
  bool stop_ = false;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace pegainfer::testing

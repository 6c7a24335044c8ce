// Engines over the fake executor, with sinks and steps that a test can wait for.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "engine/llm_engine.h"
#include "support/fake_executor.h"

namespace pegainfer::testing {

inline constexpr TokenId kEos = 0;

// What one sink heard. get() waits for the finish.
class Client {
 public:
  TokenSink sink() {
    return [state = state_](TokenEvent event) {
      const std::lock_guard lock(state->mutex);
      if (state->finish) ++state->num_late;
      state->tokens.insert(state->tokens.end(), event.tokens.begin(), event.tokens.end());
      state->thread = std::this_thread::get_id();
      if (event.finish) {
        ++state->num_finishes;
        state->finish = std::move(event.finish);
      }
      state->changed.notify_all();
    };
  }
  Finish get() const {
    std::unique_lock lock(state_->mutex);
    EXPECT_TRUE(
        state_->changed.wait_for(lock, std::chrono::seconds(20), [&] { return state_->finish.has_value(); }));
    return state_->finish.value_or(Finish{});
  }
  void wait_tokens(size_t count) const {
    std::unique_lock lock(state_->mutex);
    EXPECT_TRUE(state_->changed.wait_for(lock, std::chrono::seconds(20),
                                         [&] { return state_->tokens.size() >= count; }));
  }
  [[nodiscard]] std::vector<TokenId> tokens() const {
    const std::lock_guard lock(state_->mutex);
    return state_->tokens;
  }
  [[nodiscard]] int num_finishes() const {
    const std::lock_guard lock(state_->mutex);
    return state_->num_finishes + state_->num_late;
  }
  [[nodiscard]] std::thread::id thread() const {
    const std::lock_guard lock(state_->mutex);
    return state_->thread;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<TokenId> tokens;
    std::optional<Finish> finish;
    int num_finishes = 0;
    int num_late = 0;
    std::thread::id thread;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Lets steps through one by one.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++num_arrived_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_ || allowed_ > 0; });
    if (!open_) --allowed_;
  }
  void allow(int count) {
    const std::lock_guard lock(mutex_);
    allowed_ += count;
    changed_.notify_all();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait_arrived(int count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(20), [&] { return num_arrived_ >= count; }));
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int allowed_ = 0;
  int num_arrived_ = 0;
  bool open_ = false;
};

inline LlmEngineOptions engine_options() {
  LlmEngineOptions o;
  o.info.vocab_size = 1000;
  o.info.max_model_len = 200;
  o.info.num_kv_blocks = 101;
  o.info.block_size = 4;
  o.info.eos_token_ids = {kEos};
  o.max_num_seqs = 8;
  o.max_num_batched_tokens = 32;
  return o;
}

inline FakeExecutorOptions executor_options() {
  return {.num_kv_blocks = 101, .block_size = 4, .vocab_size = 1000};
}

inline std::unique_ptr<LlmEngine> make_engine(LlmEngineOptions options = engine_options(),
                                              FakeExecutorOptions executor = executor_options()) {
  return std::make_unique<LlmEngine>(std::move(options), std::make_unique<FakeExecutor>(std::move(executor)));
}

inline SamplingParams tokens(int max_tokens, std::optional<uint64_t> seed = 1) {
  SamplingParams p;
  p.max_tokens = max_tokens;
  p.seed = seed;
  p.ignore_eos = true;
  return p;
}

inline std::vector<TokenId> alone(std::vector<TokenId> prompt, int max_tokens, uint64_t seed) {
  const FakeExecutor model(executor_options());
  std::vector<TokenId> out;
  for (int i = 0; i < max_tokens; ++i) {
    out.push_back(model.next_token(prompt, seed));
    prompt.push_back(out.back());
  }
  return out;
}

}  // namespace pegainfer::testing

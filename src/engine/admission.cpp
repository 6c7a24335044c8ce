#include "engine/admission.h"

#include <fmt/core.h>

#include <algorithm>
#include <mutex>
#include <utility>

namespace pegainfer {

struct AdmissionQueue::State {
  AdmissionLimits limits;
  std::mutex mutex;
  int num_requests = 0;
  int64_t num_queued_tokens = 0;
  AdmissionRejections rejections;
};

class AdmissionQueue::Place final : public Admission {
 public:
  Place(std::shared_ptr<State> state, int64_t num_tokens)
      : state_(std::move(state)), num_tokens_(num_tokens) {}
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() override {
    const std::lock_guard lock(state_->mutex);
    --state_->num_requests;
    state_->num_queued_tokens -= num_tokens_;
  }

  void set_num_tokens(int64_t num_tokens) override {
    const std::lock_guard lock(state_->mutex);
    if (started_) return;
    state_->num_queued_tokens += num_tokens - std::exchange(num_tokens_, num_tokens);
  }

  void start() override {
    const std::lock_guard lock(state_->mutex);
    started_ = true;
    state_->num_queued_tokens -= std::exchange(num_tokens_, 0);
  }

 private:
  std::shared_ptr<State> state_;
  int64_t num_tokens_;  // counted as queued
  bool started_ = false;
};

AdmissionQueue::AdmissionQueue(const AdmissionLimits& limits) : state_(std::make_shared<State>()) {
  state_->limits = limits;
}

Result<std::unique_ptr<Admission>> AdmissionQueue::reserve(int64_t num_tokens) {
  const AdmissionLimits& limits = state_->limits;
  const std::lock_guard lock(state_->mutex);
  const bool full = limits.max_queued_requests > 0 &&
                    state_->num_requests >= limits.max_running + limits.max_queued_requests;
  if (full) {
    ++state_->rejections.requests;
    return resource_exhausted(
        fmt::format(
            "The queue is full: {} requests run or wait, and no more than {} may wait. Try again later.",
            state_->num_requests, limits.max_queued_requests),
        "queue_full");
  }
  if (limits.max_queued_tokens > 0 && state_->num_queued_tokens > 0 &&
      state_->num_queued_tokens + num_tokens > limits.max_queued_tokens) {
    ++state_->rejections.tokens;
    return resource_exhausted(
        fmt::format("The queue is full: {} prompt tokens wait, and no more than {} may. Try again later.",
                    state_->num_queued_tokens, limits.max_queued_tokens),
        "queue_full");
  }
  ++state_->num_requests;
  state_->num_queued_tokens += num_tokens;
  return std::unique_ptr<Admission>(std::make_unique<Place>(state_, num_tokens));
}

int AdmissionQueue::num_requests() const {
  const std::lock_guard lock(state_->mutex);
  return state_->num_requests;
}

int64_t AdmissionQueue::num_queued_tokens() const {
  const std::lock_guard lock(state_->mutex);
  return state_->num_queued_tokens;
}

uint64_t AdmissionQueue::num_rejected() const {
  const std::lock_guard lock(state_->mutex);
  return state_->rejections.requests + state_->rejections.tokens;
}

AdmissionRejections AdmissionQueue::rejections() const {
  const std::lock_guard lock(state_->mutex);
  return state_->rejections;
}

}  // namespace pegainfer

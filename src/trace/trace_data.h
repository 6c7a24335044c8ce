// What a trace holds in memory: flat records, bounded in number, which the writer turns into JSON when the
// trace ends.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "pegainfer/engine.h"

namespace pegainfer::trace {

// Nanoseconds on the monotonic clock.
inline int64_t to_ns(TimePoint time) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

// The last `capacity` records. Their memory is asked for at once, so that no record waits for a copy of all.
template <class T>
class Ring {
 public:
  explicit Ring(size_t capacity) : capacity_(capacity) { values_.reserve(capacity); }

  void push(T value) {
    ++num_pushed_;
    if (values_.size() < capacity_) {
      values_.push_back(std::move(value));
      return;
    }
    values_[next_] = std::move(value);
    next_ = next_ + 1 == capacity_ ? 0 : next_ + 1;
  }
  [[nodiscard]] T& last() { return next_ == 0 ? values_.back() : values_[next_ - 1]; }
  [[nodiscard]] size_t size() const { return values_.size(); }
  [[nodiscard]] uint64_t num_dropped() const { return num_pushed_ - values_.size(); }
  // From the oldest on.
  [[nodiscard]] const T& operator[](size_t i) const {
    const size_t at = next_ + i;
    return values_[at < values_.size() ? at : at - values_.size()];
  }

 private:
  size_t capacity_;
  size_t next_ = 0;  // the oldest, once it is full
  uint64_t num_pushed_ = 0;
  std::vector<T> values_;
};

// Times of a step in order: plan_begin, launch_begin, launch_end, wait_begin, wait_end, deliver_end.
struct StepRecord {
  uint64_t index = 0;
  std::array<int64_t, 6> times{};
  int32_t num_tokens = 0;
  int32_t num_seqs = 0;
  int32_t num_running = 0;
  int32_t num_waiting = 0;
  int32_t num_free_blocks = 0;
  int32_t num_total_blocks = 0;
};

enum class SpanKind : uint8_t { kQueued, kPrefill, kDecode, kPreempted, kFinish };

// A piece of a request's life. Those of one request follow each other and never overlap.
struct RequestSpan {
  uint64_t request = 0;
  int64_t begin = 0;
  int64_t end = 0;  // begin for kFinish, which is a moment
  SpanKind kind = SpanKind::kQueued;
  FinishReason reason = FinishReason::kStop;  // of kFinish
  bool open = false;                          // the trace ended first
  // kQueued: prompt tokens, max_tokens, priority. kPrefill: position, tokens (0: not known). kFinish: prompt,
  // completion and cached tokens.
  std::array<int32_t, 3> values{};
};

struct RequestName {
  uint64_t request = 0;
  std::string name;
};

struct TraceLimits {
  size_t max_steps = size_t{1} << 17U;
  size_t max_spans = size_t{1} << 18U;
  size_t max_names = size_t{1} << 17U;
};

struct TraceData {
  explicit TraceData(const TraceLimits& limits)
      : steps(limits.max_steps), spans(limits.max_spans), names(limits.max_names) {}

  int64_t begin = 0;  // ns
  int64_t end = 0;
  std::chrono::system_clock::time_point began_at;
  Ring<StepRecord> steps;
  Ring<RequestSpan> spans;
  Ring<RequestName> names;
};

}  // namespace pegainfer::trace

// Histogram: counts in fixed buckets, written by one thread and read by any. Observing takes no lock and no
// atomic read-modify-write, because the engine's thread observes every token.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace pegainfer::metrics {

class Histogram {
 public:
  // Upper bounds, each included in its bucket, ascending; what is above the last falls into one more bucket.
  explicit Histogram(std::vector<double> bounds) : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

  // One thread at a time.
  void observe(double value) {
    const size_t bucket = bucket_of(value);
    counts_[bucket].store(counts_[bucket].load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    sum_.store(sum_.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
  }

  [[nodiscard]] const std::vector<double>& bounds() const { return bounds_; }
  // [bounds + 1], not cumulative. Any thread.
  [[nodiscard]] std::vector<uint64_t> counts() const {
    std::vector<uint64_t> out;
    out.reserve(counts_.size());
    for (const auto& count : counts_) out.push_back(count.load(std::memory_order_relaxed));
    return out;
  }
  [[nodiscard]] double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  // The rows of a step wait about equally long, so the bucket before is tried first.
  size_t bucket_of(double value) {
    const size_t last = last_;
    if ((last == 0 || value > bounds_[last - 1]) && (last == bounds_.size() || value <= bounds_[last]))
      return last;
    last_ = static_cast<size_t>(std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin());
    return last_;
  }

  std::vector<double> bounds_;
  std::vector<std::atomic<uint64_t>> counts_;
  std::atomic<double> sum_{0};
  size_t last_ = 0;  // the writer's own
};

}  // namespace pegainfer::metrics

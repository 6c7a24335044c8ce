// Channel<T>: a bounded queue, many producers, one consumer. The only thing threads of the engine share.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

namespace pegainfer {

template <class T>
class Channel {
 public:
  explicit Channel(size_t capacity) : capacity_(capacity) {}

  // False when full or closed; the value is then untouched.
  [[nodiscard]] bool try_push(T& value) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || items_.size() >= capacity_) return false;
      items_.push_back(std::move(value));
    }
    available_.notify_one();
    return true;
  }

  // Everything queued, at once and without waiting.
  [[nodiscard]] std::vector<T> drain() {
    const std::lock_guard lock(mutex_);
    return take_all();
  }

  // Waits until something is there, the channel is closed or a stop is requested; then as drain().
  [[nodiscard]] std::vector<T> wait_drain(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    available_.wait(lock, stop, [&] { return closed_ || !items_.empty(); });
    return take_all();
  }

  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    available_.notify_all();
  }

 private:
  std::vector<T> take_all() {
    std::vector<T> out;
    out.reserve(items_.size());
    for (T& item : items_) out.push_back(std::move(item));
    items_.clear();
    return out;
  }

  const size_t capacity_;
  std::mutex mutex_;
  std::condition_variable_any available_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace pegainfer

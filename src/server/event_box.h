// EventBox: the engine's events on their way to the server's thread. A step speaks to every sink; here its
// events gather, and the server's thread is woken once for all of them. It takes them in slices: with
// thousands of streams a step's events are tens of milliseconds of writes, and what came in meanwhile (a
// /livez, a new request) is answered between two slices.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "pegainfer/engine.h"
#include "server/http/server.h"

namespace pegainfer::server {

class EventBox : public std::enable_shared_from_this<EventBox> {
 public:
  struct Item {
    uint64_t job = 0;
    size_t choice = 0;
    TokenEvent event;
  };

  // `deliver` runs on the server's thread for each event, in the order they were put.
  EventBox(http::Poster poster, std::function<void(Item&&)> deliver)
      : poster_(std::move(poster)), deliver_(std::move(deliver)) {}

  // Any thread.
  void put(Item item) {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      items_.push_back(std::move(item));
      wake = !std::exchange(awake_, true);
    }
    if (wake) post();
  }

 private:
  // About half a millisecond of writes.
  static constexpr size_t kSlice = 64;

  void post() {
    poster_.post([box = shared_from_this()] { box->deliver_slice(); });
  }

  void deliver_slice() {
    if (next_ == delivering_.size() && !refill()) return;
    const size_t end = std::min(next_ + kSlice, delivering_.size());
    while (next_ < end) deliver_(std::move(delivering_[next_++]));
    if (next_ < delivering_.size() || refill()) post();
  }

  // False: nothing is there, and the next put() wakes this thread again.
  bool refill() {
    delivering_.clear();
    next_ = 0;
    const std::lock_guard lock(mutex_);
    delivering_.swap(items_);
    awake_ = !delivering_.empty();
    return awake_;
  }

  http::Poster poster_;
  std::function<void(Item&&)> deliver_;
  std::mutex mutex_;
  std::vector<Item> items_;
  bool awake_ = false;  // a deliver_slice() is posted or runs
  // The server's thread only; kept for its memory.
  std::vector<Item> delivering_;
  size_t next_ = 0;
};

}  // namespace pegainfer::server

// EventBox: the engine's events on their way to the server's thread. A step speaks to every sink; here its
// events gather, and the server's thread is woken once for all of them.
#pragma once

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
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = items_.empty();
      items_.push_back(std::move(item));
    }
    if (first) poster_.post([box = shared_from_this()] { box->deliver_all(); });
  }

 private:
  void deliver_all() {
    {
      const std::lock_guard lock(mutex_);
      delivering_.swap(items_);
    }
    for (Item& item : delivering_) deliver_(std::move(item));
    delivering_.clear();
  }

  http::Poster poster_;
  std::function<void(Item&&)> deliver_;
  std::mutex mutex_;
  std::vector<Item> items_;
  std::vector<Item> delivering_;  // the server's thread only; kept for its memory
};

}  // namespace pegainfer::server

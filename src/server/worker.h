// A thread for work that would hold up the server's own: long prompts are tokenized here.
#pragma once

#include <functional>
#include <thread>

#include "base/channel.h"

namespace pegainfer::server {

class Worker {
 public:
  Worker() : thread_([this](const std::stop_token& stop) { loop(stop); }) {}

  // False when too much is waiting; `work` runs later on the worker's thread otherwise.
  [[nodiscard]] bool run(std::function<void()> work) { return queue_.try_push(work); }

 private:
  static constexpr size_t kMaxWaiting = 1024;

  void loop(const std::stop_token& stop) {
    while (!stop.stop_requested())
      for (auto& work : queue_.wait_drain(stop)) {
        if (stop.stop_requested()) return;
        work();
      }
  }

  Channel<std::function<void()>> queue_{kMaxWaiting};
  std::jthread thread_;
};

}  // namespace pegainfer::server

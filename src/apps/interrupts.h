// Ctrl-C and SIGTERM as calls on a thread, where more may be done than in a signal handler.
#pragma once

#include <functional>
#include <thread>

namespace pegainfer::apps {

// Before any thread starts: SIGINT and SIGTERM then wait for an InterruptWatch and no longer kill.
void block_interrupts();

// Calls `on_interrupt`, on a thread of its own, for each that comes while it lives.
class InterruptWatch {
 public:
  explicit InterruptWatch(std::function<void()> on_interrupt);

 private:
  std::jthread thread_;
};

// For an InterruptWatch over work that cannot be interrupted and leaves nothing behind: ends the process at
// once.
[[noreturn]] void exit_on_interrupt();

}  // namespace pegainfer::apps

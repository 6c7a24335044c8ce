#include "apps/interrupts.h"

#include <pthread.h>

#include <csignal>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <thread>

#include "apps/exit_code.h"

namespace pegainfer::apps {
namespace {

sigset_t interrupts() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

void block_interrupts() {
  const sigset_t set = interrupts();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

InterruptWatch::InterruptWatch(std::function<void()> on_interrupt)
    : thread_([on_interrupt = std::move(on_interrupt)](const std::stop_token& stop) {
        const sigset_t set = interrupts();
        const timespec period{0, 20'000'000};  // how long the destructor may wait for this thread
        while (!stop.stop_requested()) {
          if (sigtimedwait(&set, nullptr, &period) < 0) continue;
          on_interrupt();
        }
      }) {}

void exit_on_interrupt() { std::_Exit(kExitInterrupted); }

}  // namespace pegainfer::apps

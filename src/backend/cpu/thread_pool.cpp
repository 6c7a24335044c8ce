#include "backend/cpu/thread_pool.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"

namespace pegainfer {
namespace {

constexpr int kYields = 20;              // between spinning and sleeping
constexpr int64_t kRangesPerThread = 4;  // so that a thread that is late leaves its share to the others

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Calls ready() until it is true or `spin_us` have passed.
template <class Ready>
bool spin(int64_t spin_us, Ready ready) {
  constexpr int kRounds = 64;  // between looks at the clock
  const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(spin_us);
  do {
    for (int i = 0; i < kRounds; ++i) {
      if (ready()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int threads, int spin_us) : spin_us_(spin_us) {
  CHECK(threads >= 1, "{} threads", threads);
  workers_.reserve(static_cast<size_t>(threads) - 1);
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

int64_t ThreadPool::num_ranges(int64_t n, int64_t grain) const {
  const int64_t by_grain = std::max<int64_t>(n / std::max<int64_t>(grain, 1), n > 0 ? 1 : 0);
  const int64_t most = workers_.empty() ? 1 : threads() * kRangesPerThread;
  return std::min(by_grain, most);
}

void ThreadPool::run(int64_t n, Call call, void* fn) {
  CHECK(n >= 0 && n <= static_cast<int64_t>(kTaskMask), "{} tasks", n);
  if (n <= 1 || workers_.empty() || busy_.exchange(true, std::memory_order_acquire)) {
    for (int64_t task = 0; task < n; ++task) call(fn, task, 0);
    return;
  }
  region_ = {call, fn, n};
  done_.store(0, std::memory_order_relaxed);
  const uint64_t number = (ticket_.load(std::memory_order_relaxed) >> 32U) + 1;
  // Sequentially consistent, with the load below: a worker that is about to sleep either sees the tasks or is
  // seen.
  ticket_.store(number << 32U | static_cast<uint64_t>(n));
  if (sleepers_.load() > 0) {
    wake_.fetch_add(1);
    wake_.notify_all();
  }
  const int64_t mine = take_tasks(0);
  done_.fetch_add(mine, std::memory_order_relaxed);
  const auto all_done = [&] { return done_.load(std::memory_order_acquire) == n; };
  while (!spin(spin_us_, all_done)) std::this_thread::yield();
  busy_.store(false, std::memory_order_release);
}

int64_t ThreadPool::take_tasks(int worker) {
  int64_t count = 0;
  uint64_t ticket = ticket_.load(std::memory_order_acquire);
  while ((ticket & kTaskMask) != 0) {
    if (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acquire)) continue;
    const int64_t left = static_cast<int64_t>(ticket & kTaskMask);
    region_.call(region_.fn, region_.tasks - left, worker);
    ++count;
    ticket = ticket_.load(std::memory_order_acquire);
  }
  return count;
}

void ThreadPool::work(int worker) {
  while (wait_for_tasks()) {
    // Counted per task run: once the last one is counted the caller may go and the region with it.
    const int64_t count = take_tasks(worker);
    if (count > 0) done_.fetch_add(count, std::memory_order_release);
  }
}

bool ThreadPool::wait_for_tasks() {
  const auto ready = [this] {
    return (ticket_.load(std::memory_order_relaxed) & kTaskMask) != 0 ||
           stop_.load(std::memory_order_relaxed);
  };
  bool found = spin(spin_us_, ready);
  for (int i = 0; i < kYields && !found; ++i) {
    std::this_thread::yield();
    found = ready();
  }
  while (!found) {
    const uint32_t before = wake_.load();
    sleepers_.fetch_add(1);
    if ((ticket_.load() & kTaskMask) == 0 && !stop_.load()) wake_.wait(before);
    sleepers_.fetch_sub(1);
    found = ready();
  }
  return !stop_.load();
}

}  // namespace pegainfer

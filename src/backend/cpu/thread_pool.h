// ThreadPool: the threads that one CPU backend computes with, built for regions of a few microseconds.
//
// A region is a function and a number of tasks. Whoever is free takes the next task; the caller works too and
// leaves when all tasks are done. No one waits for a worker that has not taken a task, so a worker the system
// does not run delays nothing. Workers look for the next region for `spin_us` (a decode step has hundreds,
// microseconds apart), then yield a little, then sleep.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <type_traits>
#include <vector>

namespace pegainfer {

class ThreadPool {
 public:
  static constexpr int kDefaultSpinUs = 40;

  // `threads` in all, the caller's among them; at least 1.
  explicit ThreadPool(int threads, int spin_us = kDefaultSpinUs);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls fn(task, worker) for every task in [0, n), in any order, and returns when all are done. worker is
  // in [0, threads()) and belongs to one thread for the length of the region. A call from inside a task, or
  // while another thread's region runs, is computed by its caller alone, as worker 0.
  template <class Fn>
  void parallel(int64_t n, Fn&& fn) {
    using Callable = std::remove_reference_t<Fn>;
    run(
        n, [](void* f, int64_t task, int worker) { (*static_cast<Callable*>(f))(task, worker); },
        const_cast<void*>(static_cast<const void*>(&fn)));
  }

  // Calls fn(begin, end, worker) for ranges of at least `grain` that make up [0, n).
  template <class Fn>
  void parallel_ranges(int64_t n, int64_t grain, Fn&& fn) {
    const int64_t ranges = num_ranges(n, grain);
    parallel(ranges, [&](int64_t i, int worker) { fn(n * i / ranges, n * (i + 1) / ranges, worker); });
  }

 private:
  using Call = void (*)(void* fn, int64_t task, int worker);
  // A region, read only by those who have taken a task of it: it cannot end before they are done.
  struct Region {
    Call call = nullptr;
    void* fn = nullptr;
    int64_t tasks = 0;
  };
  static constexpr uint64_t kTaskMask =
      0xffffffff;  // of ticket_: tasks not taken yet; above: the region's number

  void run(int64_t n, Call call, void* fn);
  void work(int worker);
  int64_t take_tasks(int worker);  // returns how many it did
  bool wait_for_tasks();           // false: the pool ends
  [[nodiscard]] int64_t num_ranges(int64_t n, int64_t grain) const;

  alignas(64) std::atomic<uint64_t> ticket_{0};
  Region region_;
  alignas(64) std::atomic<int64_t> done_{0};
  alignas(64) std::atomic<int32_t> sleepers_{0};
  std::atomic<uint32_t> wake_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> busy_{false};
  int64_t spin_us_;
  std::vector<std::thread> workers_;
};

}  // namespace pegainfer

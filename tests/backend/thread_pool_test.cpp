#include "backend/cpu/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>
#include <vector>

namespace pegainfer {
namespace {

class ThreadPoolTest : public ::testing::TestWithParam<int> {};

TEST_P(ThreadPoolTest, EveryTaskOnceInManyRegions) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  std::vector<int> hits(100);
  for (int region = 0; region < 3000; ++region) {
    const int64_t n = region % 100;
    std::fill(hits.begin(), hits.end(), 0);  // plain ints: the pool orders the caller and the tasks
    pool.parallel(n, [&](int64_t task, int worker) {
      ++hits[static_cast<size_t>(task)];
      ASSERT_GE(worker, 0);
      ASSERT_LT(worker, pool.threads());
    });
    for (int64_t i = 0; i < 100; ++i) ASSERT_EQ(hits[static_cast<size_t>(i)], i < n ? 1 : 0) << region;
  }
}

TEST_P(ThreadPoolTest, WorkersSleepAndWake) {
  ThreadPool pool(GetParam(), /*spin_us=*/1);
  std::atomic<int> count = 0;
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    pool.parallel(16, [&](int64_t, int) { ++count; });
  }
  EXPECT_EQ(count, 320);
}

TEST_P(ThreadPoolTest, RangesCoverEverything) {
  ThreadPool pool(GetParam());
  for (const int64_t n : {0, 1, 5, 64, 1000}) {
    for (const int64_t grain : {1, 7, 2000}) {
      std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
      pool.parallel_ranges(n, grain, [&](int64_t begin, int64_t end, int) {
        EXPECT_TRUE(end - begin >= grain || n < grain);
        for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
      });
      for (const auto& h : hits) EXPECT_EQ(h, 1);
    }
  }
}

// A worker's number is one thread's for the length of a region: per-worker scratch needs no lock.
TEST_P(ThreadPoolTest, WorkerNumbersAreNotShared) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> scratch(static_cast<size_t>(GetParam()));
  for (int region = 0; region < 200; ++region) {
    pool.parallel(50, [&](int64_t task, int worker) { scratch[static_cast<size_t>(worker)] += task; });
  }
  EXPECT_EQ(std::accumulate(scratch.begin(), scratch.end(), int64_t{0}), 200 * (49 * 50 / 2));
}

TEST_P(ThreadPoolTest, NestedAndConcurrentCallsAreComputedByTheirCallers) {
  ThreadPool pool(GetParam());
  std::atomic<int> count = 0;
  const auto use = [&] {
    for (int i = 0; i < 300; ++i) {
      pool.parallel(4, [&](int64_t, int) { pool.parallel(3, [&](int64_t, int) { ++count; }); });
    }
  };
  std::thread other(use);
  use();
  other.join();
  EXPECT_EQ(count, 2 * 300 * 12);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolTest, ::testing::Values(1, 2, 3, 8));

TEST(ThreadPool, ThreadsReallyShareTheWork) {
  ThreadPool pool(3);
  std::atomic<int> inside = 0;
  std::set<int> workers;
  std::mutex mutex;
  // Three tasks that wait for each other can only end when three threads run them.
  pool.parallel(3, [&](int64_t, int worker) {
    ++inside;
    while (inside < 3) std::this_thread::yield();
    const std::lock_guard lock(mutex);
    workers.insert(worker);
  });
  EXPECT_EQ(workers, (std::set<int>{0, 1, 2}));
}

TEST(ThreadPool, EndsWhileWorkersSleepOrSpin) {
  for (int i = 0; i < 200; ++i) {
    ThreadPool pool(4, i % 2 == 0 ? 0 : 50);
    if (i % 3 == 0) pool.parallel(4, [](int64_t, int) {});
  }
}

}  // namespace
}  // namespace pegainfer

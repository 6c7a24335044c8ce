// Submitted tasks: in order, on one thread that is not the caller's, and awaited through events.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <semaphore>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/stream.h"

namespace pegainfer {
namespace {

class Task final : public StreamTask {
 public:
  explicit Task(std::function<void()> body) : body_(std::move(body)) {}
  void run() override { body_(); }

 private:
  std::function<void()> body_;
};

TEST(CpuStream, RunsTasksInOrderOnOneOtherThread) {
  std::vector<int> order;  // without a lock: only the stream writes it, wait() orders the reads
  std::set<std::thread::id> threads;
  std::vector<std::unique_ptr<Task>> tasks;
  CpuStream stream;
  for (int i = 0; i < 100; ++i) {
    tasks.push_back(std::make_unique<Task>([&order, &threads, i] {
      order.push_back(i);
      threads.insert(std::this_thread::get_id());
    }));
    stream.submit(*tasks.back());
  }
  EXPECT_EQ(stream.num_submitted(), 100U);
  stream.wait(100);
  EXPECT_TRUE(stream.done(100));
  ASSERT_EQ(order.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  EXPECT_EQ(threads.size(), 1U);
  EXPECT_FALSE(threads.contains(std::this_thread::get_id()));
}

TEST(CpuStream, TheCallerGoesOnMeanwhile) {
  CpuStream stream;
  std::binary_semaphore gate(0);
  Task blocked([&] { gate.acquire(); });
  Task next([] {});
  stream.submit(blocked);
  stream.submit(next);
  EXPECT_TRUE(stream.done(0));
  EXPECT_FALSE(stream.done(1));  // it cannot have ended
  gate.release();
  stream.wait(2);
  EXPECT_TRUE(stream.done(2));
}

TEST(CpuStream, AFullQueueMakesTheCallerWait) {
  CpuStream stream;
  std::binary_semaphore gate(0);
  Task blocked([&] { gate.acquire(); });
  int count = 0;
  Task counted([&] { ++count; });
  stream.submit(blocked);
  for (size_t i = 1; i < CpuStream::kMaxQueued; ++i) stream.submit(counted);
  std::thread opener([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    gate.release();
  });
  stream.submit(counted);  // no place before the first has ended
  EXPECT_TRUE(stream.done(1));
  stream.wait(stream.num_submitted());
  EXPECT_EQ(count, static_cast<int>(CpuStream::kMaxQueued));
  opener.join();
}

TEST(CpuStream, EndsAfterWhatWasSubmitted) {
  int count = 0;
  Task slow([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    ++count;
  });
  {
    CpuStream stream;
    for (int i = 0; i < 3; ++i) stream.submit(slow);
  }
  EXPECT_EQ(count, 3);
  const CpuStream unused;  // has no thread to end
}

TEST(CpuStream, EventsStandBehindWhatWasSubmitted) {
  CpuBackend backend({.threads = 2});
  const auto event = backend.make_event();
  EXPECT_TRUE(event->done());  // never recorded
  std::binary_semaphore gate(0);
  Task blocked([&] { gate.acquire(); });
  backend.submit(blocked);
  EXPECT_TRUE(event->done());  // recorded before
  backend.record_into(*event);
  EXPECT_FALSE(event->done());
  gate.release();
  event->wait();
  EXPECT_TRUE(event->done());
  // Copies and ops of a task run in it, in its order.
  const std::vector<std::byte> from(64, std::byte{7});
  std::vector<std::byte> to(64);
  Buffer buffer = *backend.allocate(64);
  Task copies([&] {
    backend.upload(from, buffer.bytes());
    backend.download(buffer.bytes(), to);
  });
  backend.submit(copies);
  backend.record_into(*event);  // again
  event->wait();
  EXPECT_EQ(from, to);
}

}  // namespace
}  // namespace pegainfer

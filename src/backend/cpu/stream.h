// CpuStream: a thread that runs submitted tasks one after the other, as a GPU's stream does, so that the host
// plans the next step while this one is computed. The thread begins with the first task.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>

#include "backend/backend.h"

namespace pegainfer {

class CpuStream {
 public:
  static constexpr size_t kMaxQueued = 8;

  CpuStream() = default;
  ~CpuStream();  // after all tasks have run
  CpuStream(const CpuStream&) = delete;
  CpuStream& operator=(const CpuStream&) = delete;

  // One thread at a time. Waits while kMaxQueued tasks are unfinished.
  void submit(StreamTask& task);
  [[nodiscard]] uint64_t num_submitted() const;
  // Until the first `count` tasks have run.
  void wait(uint64_t count);
  [[nodiscard]] bool done(uint64_t count) const;

 private:
  void work();

  mutable std::mutex mutex_;
  std::condition_variable submitted_;
  std::condition_variable finished_;
  std::array<StreamTask*, kMaxQueued> tasks_{};  // a ring: task i stands at i % kMaxQueued
  uint64_t num_submitted_ = 0;
  uint64_t num_finished_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace pegainfer

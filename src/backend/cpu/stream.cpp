#include "backend/cpu/stream.h"

namespace pegainfer {

CpuStream::~CpuStream() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  submitted_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void CpuStream::submit(StreamTask& task) {
  {
    std::unique_lock lock(mutex_);
    finished_.wait(lock, [this] { return num_submitted_ - num_finished_ < kMaxQueued; });
    tasks_.at(num_submitted_ % kMaxQueued) = &task;
    ++num_submitted_;
  }
  submitted_.notify_one();
  if (!thread_.joinable()) thread_ = std::thread([this] { work(); });
}

uint64_t CpuStream::num_submitted() const {
  const std::lock_guard lock(mutex_);
  return num_submitted_;
}

void CpuStream::wait(uint64_t count) {
  std::unique_lock lock(mutex_);
  finished_.wait(lock, [&] { return num_finished_ >= count; });
}

bool CpuStream::done(uint64_t count) const {
  const std::lock_guard lock(mutex_);
  return num_finished_ >= count;
}

// A task that throws ends the process, as in any worker of the pool: ops do not.
void CpuStream::work() {
  while (true) {
    StreamTask* task = nullptr;
    {
      std::unique_lock lock(mutex_);
      submitted_.wait(lock, [this] { return stop_ || num_submitted_ > num_finished_; });
      if (num_submitted_ == num_finished_) return;
      task = tasks_.at(num_finished_ % kMaxQueued);
    }
    task->run();
    {
      const std::lock_guard lock(mutex_);
      ++num_finished_;
    }
    finished_.notify_all();
  }
}

}  // namespace pegainfer

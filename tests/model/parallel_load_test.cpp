// Loading with several readers over a device that works later: whatever the order of the reads, every byte
// arrives, and no slot is filled again before the device has read it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "memory_checkpoint.h"
#include "model/registry.h"
#include "model/weight_loader.h"

namespace pegainfer {
namespace {

using testing::MemoryCheckpoint;
using testing::PlainBackend;

// pack_rows only notes what is to be copied; a wait for an event, and sometimes a look at one, does it. Rows
// whose slot was filled again meanwhile would arrive as others'.
class LazyBackend : public PlainBackend {
 public:
  size_t most_behind = 0;  // the most chunks that were noted and not copied
  size_t staging_bytes = 0;
  std::set<std::thread::id> callers;

  Result<Buffer> allocate_staging(size_t bytes) override {
    staging_bytes = bytes;
    return allocate(bytes);
  }
  void pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) override {
    callers.insert(std::this_thread::get_id());
    queue_.push_back({part, row_begin, rows});
    ++noted_;
    most_behind = std::max(most_behind, queue_.size());
  }
  std::unique_ptr<Event> make_event() override { return std::make_unique<LazyEvent>(*this); }
  void record_into(Event& event) override { static_cast<LazyEvent&>(event).point = noted_; }
  [[nodiscard]] bool idle() const { return queue_.empty(); }

 private:
  struct Copy {
    WeightPart part;
    int64_t row_begin;
    std::span<const std::byte> rows;
  };
  struct LazyEvent final : Event {
    explicit LazyEvent(LazyBackend& b) : backend(b) {}
    void wait() override { backend.copy_up_to(point); }
    bool done() override {
      if (++looks % 3 == 0) backend.copy_up_to(point);
      return backend.noted_ - backend.queue_.size() >= point;
    }
    LazyBackend& backend;
    size_t point = 0;
    int looks = 0;
  };

  void copy_up_to(size_t point) {
    while (noted_ - queue_.size() < point) {
      const Copy c = queue_.front();
      queue_.pop_front();
      PlainBackend::pack_rows(c.part, c.row_begin, c.rows);
    }
  }

  std::deque<Copy> queue_;
  size_t noted_ = 0;
};

// A device with a thread of its own, for the thread sanitizer: it reads slots while the readers fill others.
class ThreadedBackend final : public PlainBackend {
 public:
  ThreadedBackend() : device_([this](const std::stop_token& stop) { work(stop); }) {}

  void pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) override {
    const std::lock_guard lock(mutex_);
    queue_.push_back([this, part, row_begin, rows] { PlainBackend::pack_rows(part, row_begin, rows); });
    ++submitted_;
    changed_.notify_all();
  }
  std::unique_ptr<Event> make_event() override { return std::make_unique<DeviceEvent>(*this); }
  void record_into(Event& event) override {
    const std::lock_guard lock(mutex_);
    static_cast<DeviceEvent&>(event).point = submitted_;
  }

 private:
  struct DeviceEvent final : Event {
    explicit DeviceEvent(ThreadedBackend& b) : backend(b) {}
    void wait() override {
      std::unique_lock lock(backend.mutex_);
      backend.changed_.wait(lock, [&] { return backend.finished_ >= point; });
    }
    bool done() override {
      const std::lock_guard lock(backend.mutex_);
      return backend.finished_ >= point;
    }
    ThreadedBackend& backend;
    size_t point = 0;
  };

  void work(const std::stop_token& stop) {
    while (true) {
      std::function<void()> copy;
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [&] { return !queue_.empty(); })) return;
        copy = std::move(queue_.front());
        queue_.pop_front();
      }
      std::this_thread::sleep_for(std::chrono::microseconds(50));
      copy();
      const std::lock_guard lock(mutex_);
      ++finished_;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::function<void()>> queue_;
  size_t submitted_ = 0;
  size_t finished_ = 0;
  std::jthread device_;
};

struct Load {
  WeightPlan plan;
  Buffer memory;
  Status status = ok_status();
};

Load load(const MemoryCheckpoint& c, Backend& backend, const WeightLoadOptions& options) {
  Load out;
  const auto definition = find_model(*c.checkpoint.config);
  auto plan = plan_model(**definition, c.checkpoint, DType::kBF16, backend);
  auto memory = backend.allocate(plan->bytes);
  out.plan = *std::move(plan);
  out.memory = *std::move(memory);
  out.status = load_weights(out.plan, *c.source, backend, out.memory.bytes(), options);
  return out;
}

Load reference(const MemoryCheckpoint& c) {
  PlainBackend plain;
  return load(c, plain, {.readers = 1});
}

void expect_same(const Load& a, const Load& b) {
  ASSERT_TRUE(a.status) << a.status.error().message;
  ASSERT_EQ(a.memory.size(), b.memory.size());
  EXPECT_EQ(std::memcmp(a.memory.data(), b.memory.data(), a.memory.size()), 0);
}

TEST(ParallelLoad, ASlotIsFilledAgainOnlyWhenTheDeviceHasReadIt) {
  const MemoryCheckpoint c(testing::tiny_qwen2());
  const Load expected = reference(c);
  size_t furthest = 0;
  for (const int readers : {1, 2, 3, 8}) {
    LazyBackend backend;
    const Load loaded = load(c, backend, {.chunk_bytes = 1, .readers = readers});
    expect_same(loaded, expected);
    EXPECT_TRUE(backend.idle());
    EXPECT_EQ(backend.callers, std::set{std::this_thread::get_id()});
    EXPECT_LE(backend.most_behind, 2 * static_cast<size_t>(readers));  // two slots a reader
    furthest = std::max(furthest, backend.most_behind);
  }
  // The caller did run ahead of the device: how far is up to the readers, which may be slow for once.
  EXPECT_GE(furthest, 2U);
}

TEST(ParallelLoad, TheOrderOfReadsChangesNothing) {
  MemoryCheckpoint c(testing::tiny_qwen2());
  const Load expected = reference(c);
  std::atomic<int> reads{0};
  for (const int round : {0, 1, 2}) {
    // Each third read is overtaken by those that began after it.
    c.source->on_read = [&](const TensorInfo&, uint64_t) {
      if ((reads++ + round) % 3 == 0) std::this_thread::sleep_for(std::chrono::microseconds(500));
    };
    ThreadedBackend backend;
    uint64_t last = 0;
    const auto caller = std::this_thread::get_id();
    const Load loaded =
        load(c, backend, {.chunk_bytes = 1, .readers = 4, .progress = [&](uint64_t done, uint64_t) {
                            EXPECT_EQ(std::this_thread::get_id(), caller);
                            EXPECT_GE(done, last);
                            last = done;
                          }});
    expect_same(loaded, expected);
    EXPECT_EQ(last, loaded.plan.checkpoint_bytes);
  }
}

TEST(ParallelLoad, ReadersWorkAtTheSameTime) {
  MemoryCheckpoint c(testing::tiny_qwen2());
  std::mutex mutex;
  std::condition_variable met;
  std::set<std::thread::id> inside;
  bool both = false;
  // The first matrix read waits until another thread reads as well.
  c.source->on_read = [&](const TensorInfo& tensor, uint64_t) {
    if (tensor.shape.size() != 2) return;
    std::unique_lock lock(mutex);
    inside.insert(std::this_thread::get_id());
    both = both || inside.size() > 1;
    met.notify_all();
    met.wait_for(lock, std::chrono::seconds(20), [&] { return both; });
  };
  PlainBackend backend;
  const Load loaded = load(c, backend, {.chunk_bytes = 1, .readers = 2});
  EXPECT_TRUE(loaded.status);
  EXPECT_TRUE(both);
}

TEST(ParallelLoad, OfSeveralErrorsTheFirstIsNamed) {
  for (int round = 0; round < 20; ++round) {
    MemoryCheckpoint c(testing::tiny_qwen3());
    const std::string first = "model.layers.0.mlp.down_proj.weight";
    const std::string second = "model.layers.0.mlp.gate_proj.weight";
    const bool in_order = c.source->find(first)->offset < c.source->find(second)->offset;
    const std::string& earlier = in_order ? first : second;
    c.source->fail_reads_of(first);
    c.source->fail_reads_of(second);
    c.source->on_read = [&](const TensorInfo& tensor, uint64_t) {
      if (tensor.name == earlier) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    };
    ThreadedBackend backend;
    const Load loaded = load(c, backend, {.chunk_bytes = 1, .readers = 4});
    ASSERT_FALSE(loaded.status);
    EXPECT_EQ(loaded.status.error().code, Code::kIo);
    EXPECT_THAT(loaded.status.error().message, ::testing::HasSubstr(earlier));
  }
}

TEST(ParallelLoad, AnErrorLeavesNothingUnderWay) {
  MemoryCheckpoint c(testing::tiny_qwen3());
  c.source->fail_reads_of("model.layers.1.mlp.up_proj.weight");
  LazyBackend backend;
  std::atomic<int> reads{0};
  c.source->on_read = [&](const TensorInfo&, uint64_t) { ++reads; };
  const Load loaded = load(c, backend, {.chunk_bytes = 1, .readers = 3});
  ASSERT_FALSE(loaded.status);
  EXPECT_TRUE(backend.idle());  // what was noted has been copied: the staging memory is gone
  const int ended_at = reads;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(reads, ended_at);
}

TEST(ParallelLoad, StagingIsSmallWhereItIsTheModelsOwnMemory) {
  const MemoryCheckpoint c(testing::tiny_qwen3());
  LazyBackend host;
  host.holds_staging = true;
  expect_same(load(c, host, {}), reference(c));
  EXPECT_GT(host.staging_bytes, 0U);
  EXPECT_LE(host.staging_bytes, 4 * (size_t{2} << 20U));  // two readers with two slots each
}

}  // namespace
}  // namespace pegainfer

// ReadAhead: threads that read the chunks of a load into a ring of staging slots, ahead of the caller who
// packs them in order.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <thread>
#include <vector>

#include "model/weights.h"
#include "pegainfer/result.h"

namespace pegainfer {

struct Chunk {  // rows of one part, in one slot of the staging memory
  const PlannedPart* part = nullptr;
  int64_t row_begin = 0;
  int64_t rows = 0;

  [[nodiscard]] size_t bytes() const {
    return static_cast<size_t>(rows) * row_bytes(part->packed, part->cols);
  }
  [[nodiscard]] uint64_t checkpoint_bytes() const {
    return static_cast<uint64_t>(rows) * row_bytes(part->stored, part->cols);
  }
};

// Chunk i stands in slot i % slots, so a slot is free again when chunk i - slots was released. Readers take
// chunks in order, each the next that nobody has: a slow read holds up only the caller who needs it.
class ReadAhead {
 public:
  // `staging` is cut into `slots` pieces of equal size, each large enough for any chunk.
  ReadAhead(std::span<const Chunk> chunks, const TensorSource& source, std::span<std::byte> staging,
            size_t slots, int readers);
  ~ReadAhead();  // ends the readers; what they are reading is finished first
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Whether wait_for(i) would return at once.
  [[nodiscard]] bool ready(size_t i);
  // The bytes of chunk `i`, or why it could not be read. Of several chunks that fail the first is named,
  // whichever reader came first. The caller takes chunks in order and releases them in order.
  Result<std::span<const std::byte>> wait_for(size_t i);
  void release();  // the oldest chunk that was not released; its slot may be overwritten from now on

 private:
  static constexpr size_t kNone = std::numeric_limits<size_t>::max();

  [[nodiscard]] std::span<std::byte> slot(size_t i, size_t bytes) const {
    return staging_.subspan(i % slots_ * slot_bytes_, bytes);
  }
  [[nodiscard]] bool is_read(size_t i) const { return in_slot_[i % slots_] == i; }
  std::optional<size_t> take_chunk(const std::stop_token& stop);
  void run(const TensorSource& source, const std::stop_token& stop);

  std::span<const Chunk> chunks_;
  std::span<std::byte> staging_;
  size_t slots_;
  size_t slot_bytes_;
  std::mutex mutex_;
  std::condition_variable_any released_;  // readers wait for it
  std::condition_variable read_;          // the caller does
  std::vector<size_t> in_slot_;           // the chunk whose bytes are there, or kNone
  size_t next_ = 0;                       // the first chunk that no reader has taken
  size_t num_released_ = 0;
  size_t failed_ = kNone;  // the first chunk that could not be read
  std::optional<Error> error_;
  std::vector<std::jthread> readers_;  // last: they use all the others
};

}  // namespace pegainfer

#include "model/read_ahead.h"

#include <fmt/format.h>

#include <new>

#include "base/check.h"
#include "model/row_reader.h"

namespace pegainfer {

ReadAhead::ReadAhead(std::span<const Chunk> chunks, const TensorSource& source, std::span<std::byte> staging,
                     size_t slots, int readers)
    : chunks_(chunks),
      staging_(staging),
      slots_(slots),
      slot_bytes_(staging.size() / slots),
      in_slot_(slots, kNone) {
  CHECK(readers > 0 && slots >= static_cast<size_t>(readers), "{} slots for {} readers", slots, readers);
  for (int i = 0; i < readers; ++i)
    readers_.emplace_back([this, &source](const std::stop_token& stop) { run(source, stop); });
}

ReadAhead::~ReadAhead() {
  for (std::jthread& reader : readers_) reader.request_stop();  // all, before the first is waited for
}

bool ReadAhead::ready(size_t i) {
  const std::lock_guard lock(mutex_);
  return is_read(i) || failed_ == i;
}

Result<std::span<const std::byte>> ReadAhead::wait_for(size_t i) {
  std::unique_lock lock(mutex_);
  read_.wait(lock, [&] { return is_read(i) || failed_ == i; });
  if (failed_ == i) return *error_;
  return std::span<const std::byte>(slot(i, chunks_[i].bytes()));
}

void ReadAhead::release() {
  {
    const std::lock_guard lock(mutex_);
    ++num_released_;
  }
  released_.notify_all();
}

// Chunks behind one that failed are of no use; those before it are read to the end, and the caller meets the
// failure where it is.
std::optional<size_t> ReadAhead::take_chunk(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  if (next_ >= chunks_.size()) return std::nullopt;
  const size_t i = next_++;
  const auto free = [&] { return i < num_released_ + slots_ || failed_ < i; };
  if (!released_.wait(lock, stop, free) || failed_ < i) return std::nullopt;
  return i;
}

void ReadAhead::run(const TensorSource& source, const std::stop_token& stop) {
  RowReader reader(source);
  while (!stop.stop_requested()) {
    const std::optional<size_t> i = take_chunk(stop);
    if (!i) return;
    const Chunk& c = chunks_[*i];
    const Status status = [&]() -> Status {
      try {
        return reader.read(c.part->segments, c.part->cols, c.part->stored, c.part->packed, c.row_begin,
                           c.rows, slot(*i, c.bytes()));
      } catch (const std::bad_alloc&) {
        return resource_exhausted(
            fmt::format("no memory to convert {} bytes of weights", c.checkpoint_bytes()));
      }
    }();
    {
      const std::lock_guard lock(mutex_);
      if (status) {
        in_slot_[*i % slots_] = *i;
      } else if (*i < failed_) {
        failed_ = *i;
        error_ = status.error();
      }
    }
    read_.notify_one();
    if (!status) released_.notify_all();  // readers that wait for a slot behind it
  }
}

}  // namespace pegainfer

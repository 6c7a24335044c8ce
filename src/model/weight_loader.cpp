#include "model/weight_loader.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/row_reader.h"

namespace pegainfer {

namespace {

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

// In the order of the files, so that a disk reads them from front to back.
std::vector<const PlannedPart*> parts_in_file_order(const WeightPlan& plan) {
  std::vector<const PlannedPart*> parts;
  for (const auto& [name, weight] : plan.weights)
    for (const PlannedPart& part : weight.parts) parts.push_back(&part);
  const auto place = [](const PlannedPart* part) {
    const TensorInfo* tensor = part->segments.front().tensor;
    return std::pair(tensor->file, tensor->offset);
  };
  std::sort(parts.begin(), parts.end(), [&](auto* a, auto* b) { return place(a) < place(b); });
  return parts;
}

std::vector<Chunk> cut_into_chunks(const WeightPlan& plan, size_t chunk_bytes) {
  std::vector<Chunk> chunks;
  for (const PlannedPart* part : parts_in_file_order(plan)) {
    const auto fit = static_cast<int64_t>(chunk_bytes / row_bytes(part->stored, part->cols));
    const int64_t step = std::max<int64_t>(1, fit / Backend::kPackRows) * Backend::kPackRows;
    for (int64_t row = 0; row < part->rows; row += step)
      chunks.push_back({part, row, std::min(step, part->rows - row)});
  }
  return chunks;
}

// Two slots between a reader thread and the packing caller.
class ReadAhead {
 public:
  ReadAhead(std::span<const Chunk> chunks, const TensorSource& source, std::span<std::byte> staging)
      : chunks_(chunks),
        slot_bytes_(staging.size() / kSlots),
        staging_(staging),
        thread_([this, &source](const std::stop_token& stop) { run(source, stop); }) {}

  // The bytes of chunk `i`; the caller takes them in order and releases each.
  Result<std::span<const std::byte>> wait_for(size_t i) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return num_read_ > i || error_.has_value(); });
    if (num_read_ <= i) return *error_;
    return std::span<const std::byte>(slot(i, chunks_[i].bytes()));
  }
  void release() {
    const std::lock_guard lock(mutex_);
    ++num_released_;
    changed_.notify_all();
  }

 private:
  static constexpr size_t kSlots = 2;

  std::span<std::byte> slot(size_t i, size_t bytes) const {
    return staging_.subspan(i % kSlots * slot_bytes_, bytes);
  }

  void run(const TensorSource& source, const std::stop_token& stop) {
    RowReader reader(source);
    for (size_t i = 0; i < chunks_.size(); ++i) {
      {
        std::unique_lock lock(mutex_);
        if (!changed_.wait(lock, stop, [&] { return i < num_released_ + kSlots; })) return;
      }
      const Chunk& c = chunks_[i];
      Status status = reader.read(c.part->segments, c.part->cols, c.part->stored, c.part->packed, c.row_begin,
                                  c.rows, slot(i, c.bytes()));
      const std::lock_guard lock(mutex_);
      if (!status) error_ = status.error();
      if (status) ++num_read_;
      changed_.notify_all();
      if (!status) return;
    }
  }

  std::span<const Chunk> chunks_;
  size_t slot_bytes_;
  std::span<std::byte> staging_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  size_t num_read_ = 0;
  size_t num_released_ = 0;
  std::optional<Error> error_;
  std::jthread thread_;  // last: it uses all the others
};

// Norms and biases are small: one host copy of all, then the uploads.
Status load_vectors(const WeightPlan& plan, const TensorSource& source, Backend& backend,
                    std::span<std::byte> memory, uint64_t& done) {
  RowReader reader(source);
  std::vector<std::vector<std::byte>> host;  // lives until the uploads have ended
  const auto load = [&](const PlannedVector& vector) -> Status {
    if (vector.size == 0) return ok_status();
    std::vector<std::byte>& bytes = host.emplace_back(static_cast<size_t>(vector.size) * sizeof(float));
    if (!vector.values.empty()) std::memcpy(bytes.data(), vector.values.data(), bytes.size());
    size_t at = 0;
    for (const WeightSegment& segment : vector.segments) {
      const size_t n = static_cast<size_t>(segment.rows) * sizeof(float);
      RETURN_IF_ERROR(reader.read({&segment, 1}, 1, segment.tensor->format, WeightFormat::kF32, 0,
                                  segment.rows, std::span(bytes).subspan(at, n)));
      at += n;
      done += segment.tensor->bytes;
    }
    backend.upload(bytes, memory.subspan(vector.offset, bytes.size()));
    return ok_status();
  };
  for (const auto& [name, weight] : plan.weights) RETURN_IF_ERROR(load(weight.bias));
  for (const auto& [name, vector] : plan.vectors) RETURN_IF_ERROR(load(vector));
  backend.record()->wait();
  return ok_status();
}

}  // namespace

Status load_weights(const WeightPlan& plan, const TensorSource& source, Backend& backend,
                    std::span<std::byte> memory, const WeightLoadOptions& options) {
  CHECK(memory.size() >= plan.bytes, "{} bytes of memory for {} of weights", memory.size(), plan.bytes);
  uint64_t done = 0;
  const auto report = [&] {
    if (options.progress) options.progress(done, plan.checkpoint_bytes);
  };
  RETURN_IF_ERROR(load_vectors(plan, source, backend, memory, done));
  report();

  const std::vector<Chunk> chunks = cut_into_chunks(plan, options.chunk_bytes);
  size_t slot_bytes = 0;
  for (const Chunk& c : chunks) slot_bytes = std::max(slot_bytes, c.bytes());
  slot_bytes = (slot_bytes + 63) / 64 * 64;
  ASSIGN_OR_RETURN(const Buffer staging, backend.allocate_staging(2 * slot_bytes));
  ReadAhead reader(chunks, source, staging.bytes());
  for (size_t i = 0; i < chunks.size(); ++i) {
    const Chunk& c = chunks[i];
    ASSIGN_OR_RETURN(const std::span<const std::byte> rows, reader.wait_for(i));
    const WeightPart part{.format = c.part->packed,
                          .rows = c.part->rows,
                          .cols = c.part->cols,
                          .data = memory.data() + c.part->offset};
    backend.pack_rows(part, c.row_begin, rows);
    backend.record()->wait();  // the slot may be filled again only when the device has read it
    reader.release();
    done += c.checkpoint_bytes();
    report();
  }
  return ok_status();
}

}  // namespace pegainfer

#include "model/weight_loader.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/read_ahead.h"
#include "model/row_reader.h"

namespace pegainfer {

namespace {

// How a load is cut: many readers feed a GPU's link; on the CPU staging is the memory that the model runs in,
// and the cores that read are those that pack. All slots together should stay in the processor's cache
// between the read and the copy, and pinning them takes time: so chunks are no longer than a link needs (2
// MiB: 40 us).
struct LoadShape {
  size_t chunk_bytes = 0;
  int readers = 0;
};

LoadShape load_shape(const WeightPlan& plan, const Backend& backend, const WeightLoadOptions& options) {
  constexpr size_t kLeastChunk = size_t{256} << 10U;
  constexpr size_t kMostChunk = size_t{2} << 20U;
  const int most_readers = backend.memory().holds_staging ? 2 : 8;
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  const auto share = static_cast<size_t>(plan.checkpoint_bytes / 64);
  return {.chunk_bytes =
              options.chunk_bytes > 0 ? options.chunk_bytes : std::clamp(share, kLeastChunk, kMostChunk),
          .readers = options.readers > 0 ? options.readers : std::min(most_readers, cores)};
}

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
  const auto load_all = [&]() -> Status {
    for (const auto& [name, weight] : plan.weights) RETURN_IF_ERROR(load(weight.bias));
    for (const auto& [name, vector] : plan.vectors) RETURN_IF_ERROR(load(vector));
    return ok_status();
  };
  Status status = load_all();
  backend.record()->wait();  // also after an error: the uploads read `host`
  return status;
}

// Which chunks the device may still be reading: an event behind each, in a ring like the slots.
class InFlight {
 public:
  InFlight(Backend& backend, ReadAhead& reader, size_t slots) : backend_(backend), reader_(reader) {
    for (size_t i = 0; i < slots; ++i) events_.push_back(backend.make_event());
  }

  void push() { backend_.record_into(event(pushed_++)); }
  [[nodiscard]] bool empty() const { return popped_ == pushed_; }
  void release_finished() {
    while (!empty() && event(popped_).done()) pop();
  }
  void release_oldest() {
    event(popped_).wait();
    pop();
  }

 private:
  Event& event(size_t i) { return *events_[i % events_.size()]; }
  void pop() {
    ++popped_;
    reader_.release();
  }

  Backend& backend_;
  ReadAhead& reader_;
  std::vector<std::unique_ptr<Event>> events_;
  size_t pushed_ = 0;
  size_t popped_ = 0;
};

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

  const LoadShape shape = load_shape(plan, backend, options);
  const std::vector<Chunk> chunks = cut_into_chunks(plan, shape.chunk_bytes);
  if (chunks.empty()) return ok_status();
  size_t slot_bytes = 0;
  for (const Chunk& c : chunks) slot_bytes = std::max(slot_bytes, c.bytes());
  slot_bytes = (slot_bytes + 63) / 64 * 64;
  // A slot to read into and one to pack from for every reader.
  const size_t slots = std::min(chunks.size(), 2 * static_cast<size_t>(shape.readers));
  const int readers = static_cast<int>(std::min(slots, static_cast<size_t>(shape.readers)));
  ASSIGN_OR_RETURN(const Buffer staging, backend.allocate_staging(slots * slot_bytes));
  ReadAhead reader(chunks, source, staging.bytes(), slots, readers);
  InFlight in_flight(backend, reader, slots);
  const auto pack = [&](size_t i) -> Status {
    const Chunk& c = chunks[i];
    in_flight.release_finished();
    // With nothing to pack, wait for the device first: the readers may be waiting for its slots.
    while (!reader.ready(i) && !in_flight.empty()) in_flight.release_oldest();
    ASSIGN_OR_RETURN(const std::span<const std::byte> rows, reader.wait_for(i));
    const WeightPart part{.format = c.part->packed,
                          .rows = c.part->rows,
                          .cols = c.part->cols,
                          .data = memory.data() + c.part->offset};
    backend.pack_rows(part, c.row_begin, rows);
    in_flight.push();
    done += c.checkpoint_bytes();
    report();
    return ok_status();
  };
  Status status = ok_status();
  for (size_t i = 0; i < chunks.size() && status; ++i) status = pack(i);
  while (!in_flight.empty()) in_flight.release_oldest();  // also after an error: they read the staging memory
  return status;
}

}  // namespace pegainfer

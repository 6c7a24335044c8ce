#include "backend/cpu/cpu_backend.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "backend/cpu/cpu_ops.h"
#include "backend/cpu/host.h"
#include "backend/cpu/host_buffer.h"
#include "kernels/cpu/pack.h"
#include "tensor/dummy_rows.h"

namespace pegainfer {
namespace {

class CpuEvent final : public Event {
 public:
  explicit CpuEvent(CpuStream& stream) : stream_(stream) {}
  void wait() override { stream_.wait(count_); }
  [[nodiscard]] bool done() override { return stream_.done(count_); }
  void record() { count_ = stream_.num_submitted(); }

 private:
  CpuStream& stream_;
  uint64_t count_ = 0;  // of tasks it comes after
};

class CpuGraph final : public Graph {
 public:
  explicit CpuGraph(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void launch() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

void copy(std::span<const std::byte> from, std::span<std::byte> to) {
  CHECK(from.size() <= to.size(), "{} bytes into {}", from.size(), to.size());
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

}  // namespace

CpuBackend::CpuBackend(const CpuBackendOptions& options)
    : isa_(options.isa),
      pool_(options.threads > 0 ? options.threads : usable_cores(allowed_cpus())),
      ops_(std::make_unique<CpuOps>(isa_, pool_, workspace_)) {}

std::string CpuBackend::description() const {
  return fmt::format("cpu ({}, {} thread{})", cpu::name_of(isa_), pool_.threads(),
                     pool_.threads() == 1 ? "" : "s");
}

DeviceMemory CpuBackend::memory() const {
  DeviceMemory memory = host_memory();
  memory.holds_staging = true;
  return memory;
}

Status CpuBackend::reserve(const StepLimits& limits) { return workspace_.reserve(limits, pool_.threads()); }

size_t CpuBackend::reserve_bytes(const StepLimits& limits) const {
  return Workspace::bytes(limits, pool_.threads());
}

Result<Buffer> CpuBackend::allocate(size_t bytes) {
  num_allocations_.fetch_add(1);
  return allocate_host(bytes);
}
Result<Buffer> CpuBackend::allocate_staging(size_t bytes) { return allocate(bytes); }

void CpuBackend::upload(std::span<const std::byte> from, std::span<std::byte> to) { copy(from, to); }
void CpuBackend::download(std::span<const std::byte> from, std::span<std::byte> to) { copy(from, to); }

std::unique_ptr<Event> CpuBackend::make_event() { return std::make_unique<CpuEvent>(stream_); }
void CpuBackend::record_into(Event& event) { static_cast<CpuEvent&>(event).record(); }

std::unique_ptr<Graph> CpuBackend::capture(const std::function<void()>& enqueue) {
  return std::make_unique<CpuGraph>(enqueue);
}

Result<size_t> CpuBackend::packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const {
  const WeightFormatInfo& info = info_of(format);
  if (cols % info.block_elements != 0) {
    return unsupported(fmt::format("{} weights with {} columns: the format needs a multiple of {}", info.name,
                                   cols, info.block_elements));
  }
  return cpu::packed_bytes(format, rows, cols);
}

void CpuBackend::pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) {
  const size_t bytes = row_bytes(part.format, part.cols);
  CHECK(bytes > 0 && rows.size() % bytes == 0, "{} bytes for rows of {}", rows.size(), bytes);
  const auto count = static_cast<int64_t>(rows.size() / bytes);
  CHECK(row_begin % kPackRows == 0 && row_begin >= 0 && row_begin + count <= part.rows, "rows [{}, {}) of {}",
        row_begin, row_begin + count, part.rows);
  const int64_t groups = (count + kPackRows - 1) / kPackRows;
  pool_.parallel_ranges(groups, 1, [&](int64_t begin, int64_t end, int /*worker*/) {
    const int64_t first = begin * kPackRows;
    const int64_t n = std::min(count, end * kPackRows) - first;
    cpu::pack_rows(part.format, part.rows, part.cols, part.data, row_begin + first, n,
                   rows.data() + static_cast<size_t>(first) * bytes);
  });
}

void CpuBackend::fill_dummy(const WeightPart& part, uint64_t key, float scale) {
  const size_t bytes = row_bytes(part.format, part.cols);
  const int64_t groups = (part.rows + kPackRows - 1) / kPackRows;
  pool_.parallel_ranges(groups, 1, [&](int64_t begin, int64_t end, int /*worker*/) {
    std::vector<std::byte> rows(static_cast<size_t>(kPackRows) * bytes);
    for (int64_t group = begin; group < end; ++group) {
      const int64_t first = group * kPackRows;
      const int64_t n = std::min(kPackRows, part.rows - first);
      write_dummy_rows(part, key, scale, first, std::span(rows).first(static_cast<size_t>(n) * bytes));
      cpu::pack_rows(part.format, part.rows, part.cols, part.data, first, n, rows.data());
    }
  });
}

}  // namespace pegainfer

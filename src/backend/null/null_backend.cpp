#include "backend/null/null_backend.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <cstring>
#include <utility>

#include "base/check.h"

namespace pegainfer {
namespace {

class NullEvent final : public Event {
 public:
  void wait() override {}
  [[nodiscard]] bool done() override { return true; }
};

class NullGraph final : public Graph {
 public:
  explicit NullGraph(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void launch() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

void copy(std::span<const std::byte> from, std::span<std::byte> to) {
  CHECK(from.size() <= to.size(), "{} bytes into {}", from.size(), to.size());
  if (!from.empty()) std::memcpy(to.data(), from.data(), from.size());
}

}  // namespace

DeviceMemory NullBackend::memory() const {
  constexpr size_t kPlenty = size_t{1} << 40U;
  return {.total_bytes = kPlenty, .available_bytes = kPlenty};
}

Result<Buffer> NullBackend::allocate(size_t bytes) {
  ++num_allocations_;
  if (bytes == 0) return Buffer();
  void* map =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) return resource_exhausted(fmt::format("cannot map {} bytes", bytes));
  return Buffer(static_cast<std::byte*>(map), bytes, [bytes](std::byte* p) { munmap(p, bytes); });
}

void NullBackend::upload(std::span<const std::byte> from, std::span<std::byte> to) { copy(from, to); }
void NullBackend::download(std::span<const std::byte> from, std::span<std::byte> to) { copy(from, to); }

std::unique_ptr<Event> NullBackend::make_event() { return std::make_unique<NullEvent>(); }

std::unique_ptr<Graph> NullBackend::capture(const std::function<void()>& enqueue) {
  return std::make_unique<NullGraph>(enqueue);
}

Result<size_t> NullBackend::packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const {
  const WeightFormatInfo& info = info_of(format);
  if (cols % info.block_elements != 0) {
    return unsupported(fmt::format("{} weights with {} columns: the format needs a multiple of {}", info.name,
                                   cols, info.block_elements));
  }
  const size_t bytes = static_cast<size_t>(rows) * row_bytes(format, cols);
  return (bytes + 63) / 64 * 64;
}

}  // namespace pegainfer

#include "backend/cpu/host_buffer.h"

#include <fmt/core.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

namespace pegainfer {
namespace {

constexpr size_t kHugePage = size_t{2} << 20U;

Error no_memory(size_t bytes, int error) {
  return resource_exhausted(
      fmt::format("cannot allocate {} bytes of memory: {}", bytes, std::generic_category().message(error)));
}

}  // namespace

Result<Buffer> allocate_host(size_t bytes) {
  if (bytes == 0) return Buffer();
  const bool huge = bytes >= 2 * kHugePage;
  // Huge pages need their alignment, which mmap does not promise: map one more and give back what sticks out.
  const size_t mapped = huge ? bytes + kHugePage : bytes;
  if (mapped < bytes) return no_memory(bytes, ENOMEM);
  void* map = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return no_memory(bytes, errno);
  auto* begin = static_cast<std::byte*>(map);
  if (huge) {
    const size_t skip = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
    if (skip > 0) munmap(begin, skip);
    begin += skip;
    const size_t page = 4096;
    const size_t used = (bytes + page - 1) / page * page;
    const size_t rest = mapped - skip - used;
    if (rest > 0) munmap(begin + used, rest);
    madvise(begin, used, MADV_HUGEPAGE);  // advice only: a kernel without them serves small pages
  }
  return Buffer(begin, bytes, [bytes](std::byte* p) { munmap(p, bytes); });
}

}  // namespace pegainfer

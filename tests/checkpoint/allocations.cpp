#include "checkpoint/allocations.h"

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> live{0};
std::atomic<size_t> peak{0};
std::atomic<size_t> start{0};

void* try_counted(size_t size) noexcept {
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) return nullptr;
  const size_t now = live.fetch_add(malloc_usable_size(p)) + malloc_usable_size(p);
  size_t old = peak.load();
  while (now > old && !peak.compare_exchange_weak(old, now)) {
  }
  return p;
}

void* counted(size_t size) {
  void* p = try_counted(size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

void uncounted(void* p) noexcept {
  if (p == nullptr) return;
  live.fetch_sub(malloc_usable_size(p));
  std::free(p);
}

}  // namespace

// The aligned forms are left alone: nothing under test uses them.
void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
void* operator new(size_t size, const std::nothrow_t& /*tag*/) noexcept { return try_counted(size); }
void* operator new[](size_t size, const std::nothrow_t& /*tag*/) noexcept { return try_counted(size); }
void operator delete(void* p, const std::nothrow_t& /*tag*/) noexcept { uncounted(p); }
void operator delete[](void* p, const std::nothrow_t& /*tag*/) noexcept { uncounted(p); }
void operator delete(void* p) noexcept { uncounted(p); }
void operator delete[](void* p) noexcept { uncounted(p); }
void operator delete(void* p, size_t /*size*/) noexcept { uncounted(p); }
void operator delete[](void* p, size_t /*size*/) noexcept { uncounted(p); }

namespace pegainfer::testing {

void reset_peak_bytes() {
  start = live.load();
  peak = live.load();
}

size_t peak_bytes() { return peak.load() - start.load(); }

}  // namespace pegainfer::testing

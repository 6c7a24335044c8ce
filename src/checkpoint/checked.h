// Arithmetic on numbers that a file chose: overflow is an answer, never a wrap.
#pragma once

#include <cstdint>
#include <optional>

namespace pegainfer::checked {

[[nodiscard]] inline std::optional<uint64_t> add(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

[[nodiscard]] inline std::optional<uint64_t> mul(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}

// The next multiple of `alignment`, which is a power of two.
[[nodiscard]] inline std::optional<uint64_t> align_up(uint64_t value, uint64_t alignment) {
  const std::optional<uint64_t> top = add(value, alignment - 1);
  if (!top) return std::nullopt;
  return *top & ~(alignment - 1);
}

}  // namespace pegainfer::checked

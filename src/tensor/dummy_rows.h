// Rows of a made-up weight in checkpoint layout, as dummy_value() defines them.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/check.h"
#include "base/half.h"
#include "tensor/dummy_value.h"
#include "tensor/weight.h"

namespace pegainfer {

// Rows [row_begin, row_begin + n) of `part`, whose format is a float one, into out: n * row_bytes() bytes.
inline void write_dummy_rows(const WeightPart& part, uint64_t key, float scale, int64_t row_begin,
                             std::span<std::byte> out) {
  const uint64_t first = static_cast<uint64_t>(row_begin) * static_cast<uint64_t>(part.cols);
  const auto write = [&](auto convert) {
    using Element = decltype(convert(0.0F));
    constexpr size_t kBlock = 64;  // of a fixed length, so that compilers make vectors of it
    std::array<Element, kBlock> block;
    const size_t n = out.size() / sizeof(Element);
    for (size_t i = 0; i < n; i += kBlock) {
      for (size_t j = 0; j < kBlock; ++j) block[j] = convert(dummy_value(key, first + i + j, scale));
      std::memcpy(out.data() + i * sizeof(Element), block.data(), std::min(kBlock, n - i) * sizeof(Element));
    }
  };
  switch (part.format) {
    case WeightFormat::kF32: return write([](float f) { return f; });
    case WeightFormat::kF16: return write([](float f) { return f32_to_f16(f); });
    case WeightFormat::kBF16: return write([](float f) { return f32_to_bf16(f); });
    default: CHECK(false, "no made-up weights in {}", info_of(part.format).name);
  }
}

}  // namespace pegainfer

// Weight: a matrix [rows = out features, cols = in features] in a backend's own layout, with an optional
// bias.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/tensor.h"

namespace pegainfer {

// Rows of one storage format, packed by Backend::pack_rows. `data` is opaque to everyone else.
struct WeightPart {
  WeightFormat format = WeightFormat::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  std::byte* data = nullptr;
};

// Parts stand below each other: q, k and v of a merged projection may be of different formats (as in Q4_K_M
// files).
struct Weight {
  static constexpr int kMaxParts = 3;
  std::array<WeightPart, kMaxParts> parts{};
  int num_parts = 0;
  Tensor bias;  // [1, rows] F32, or empty

  [[nodiscard]] int64_t rows() const {
    int64_t n = 0;
    for (int i = 0; i < num_parts; ++i) n += parts.at(static_cast<size_t>(i)).rows;
    return n;
  }
  [[nodiscard]] int64_t cols() const { return parts[0].cols; }
};

}  // namespace pegainfer

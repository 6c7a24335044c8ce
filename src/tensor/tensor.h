// Tensor: a view by value, like a span. Who owns the memory is somebody else (Arena, Buffer).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "tensor/dtype.h"

namespace pegainfer {

struct Tensor {  // [rows, cols], rows `row_stride` elements apart; a vector is [n, 1] or [1, n]
  void* data = nullptr;
  DType dtype = DType::kF32;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;

  static Tensor of(void* data, DType dtype, int64_t rows, int64_t cols) {
    return {data, dtype, rows, cols, cols};
  }

  [[nodiscard]] explicit operator bool() const { return data != nullptr; }
  [[nodiscard]] bool contiguous() const { return row_stride == cols || rows <= 1; }
  [[nodiscard]] size_t bytes() const { return static_cast<size_t>(rows * cols) * size_of(dtype); }

  template <class T>
  [[nodiscard]] T* row(int64_t r) const {
    DCHECK(sizeof(T) == size_of(dtype) && r >= 0 && r < rows, "row {} of {}", r, rows);
    return static_cast<T*>(data) + r * row_stride;
  }
  // Rows [begin, begin + count).
  [[nodiscard]] Tensor slice_rows(int64_t begin, int64_t count) const {
    CHECK(begin >= 0 && count >= 0 && begin + count <= rows, "[{}, {}) of {} rows", begin, begin + count,
          rows);
    return {static_cast<std::byte*>(data) + static_cast<size_t>(begin * row_stride) * size_of(dtype), dtype,
            count, cols, row_stride};
  }
  // Columns [begin, begin + count): the row stride stays.
  [[nodiscard]] Tensor slice_cols(int64_t begin, int64_t count) const {
    CHECK(begin >= 0 && count >= 0 && begin + count <= cols, "[{}, {}) of {} columns", begin, begin + count,
          cols);
    return {static_cast<std::byte*>(data) + static_cast<size_t>(begin) * size_of(dtype), dtype, rows, count,
            row_stride};
  }
};

}  // namespace pegainfer

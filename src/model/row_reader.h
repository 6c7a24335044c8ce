// RowReader: rows of a planned part or vector, from the checkpoint in the order and format they are packed
// in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/weights.h"
#include "pegainfer/result.h"

namespace pegainfer {

class RowReader {
 public:
  explicit RowReader(const TensorSource& source) : source_(source) {}

  // Rows [begin, begin + count) of `segments` below each other, each row of `cols` elements, stored as
  // `stored` and converted to `wanted` (equal, or F32 / F16 to BF16, or a float format to F32).
  Status read(std::span<const WeightSegment> segments, int64_t cols, WeightFormat stored, WeightFormat wanted,
              int64_t begin, int64_t count, std::span<std::byte> out);

 private:
  Status read_stored(const WeightSegment& segment, size_t row_bytes, int64_t begin, int64_t count,
                     std::span<std::byte> out);
  Status read_interleaved(const WeightSegment& segment, size_t row_bytes, int64_t begin, int64_t count,
                          std::span<std::byte> out);

  const TensorSource& source_;
  std::vector<std::byte> raw_;    // before conversion
  std::vector<std::byte> heads_;  // before un-permutation
};

}  // namespace pegainfer

#include "model/row_reader.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/half.h"

namespace pegainfer {

namespace {

float f32_at(const std::byte* at) {
  float f = 0;
  std::memcpy(&f, at, sizeof f);
  return f;
}

uint16_t bits_at(const std::byte* at) {
  uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof bits);
  return bits;
}

template <class Load>
void convert_from(size_t in_size, const Load& load, std::span<const std::byte> in, WeightFormat to,
                  std::span<std::byte> out) {
  const size_t n = in.size() / in_size;
  if (to == WeightFormat::kF32) {
    for (size_t i = 0; i < n; ++i) {
      const float f = load(in.data() + i * in_size);
      std::memcpy(out.data() + i * sizeof f, &f, sizeof f);
    }
    return;
  }
  CHECK(to == WeightFormat::kBF16, "no conversion to {}", info_of(to).name);
  for (size_t i = 0; i < n; ++i) {
    const uint16_t bits = f32_to_bf16(load(in.data() + i * in_size));
    std::memcpy(out.data() + i * sizeof bits, &bits, sizeof bits);
  }
}

void convert(WeightFormat from, std::span<const std::byte> in, WeightFormat to, std::span<std::byte> out) {
  switch (from) {
    case WeightFormat::kF32: return convert_from(4, f32_at, in, to, out);
    case WeightFormat::kF16:
      return convert_from(
          2, [](const std::byte* at) { return f16_to_f32(bits_at(at)); }, in, to, out);
    case WeightFormat::kBF16:
      return convert_from(
          2, [](const std::byte* at) { return bf16_to_f32(bits_at(at)); }, in, to, out);
    default: CHECK(false, "no conversion from {}", info_of(from).name);
  }
}

}  // namespace

Status RowReader::read(std::span<const WeightSegment> segments, int64_t cols, WeightFormat stored,
                       WeightFormat wanted, int64_t begin, int64_t count, std::span<std::byte> out) {
  const size_t stored_row = row_bytes(stored, cols);
  const size_t wanted_row = row_bytes(wanted, cols);
  CHECK(out.size() == static_cast<size_t>(count) * wanted_row, "{} bytes for {} rows", out.size(), count);
  int64_t first = 0;  // row of the stack where the segment starts
  for (const WeightSegment& segment : segments) {
    const int64_t from = std::max(begin, first);
    const int64_t to = std::min(begin + count, first + segment.rows);
    if (from < to) {
      const auto n = static_cast<size_t>(to - from);
      const auto target = out.subspan(static_cast<size_t>(from - begin) * wanted_row, n * wanted_row);
      if (stored == wanted) {
        RETURN_IF_ERROR(read_stored(segment, stored_row, from - first, to - from, target));
      } else {
        raw_.resize(n * stored_row);
        RETURN_IF_ERROR(read_stored(segment, stored_row, from - first, to - from, raw_));
        convert(stored, raw_, wanted, target);
      }
    }
    first += segment.rows;
  }
  return ok_status();
}

Status RowReader::read_stored(const WeightSegment& segment, size_t row_bytes, int64_t begin, int64_t count,
                              std::span<std::byte> out) {
  if (segment.interleaved_heads > 0) return read_interleaved(segment, row_bytes, begin, count, out);
  return source_.read(*segment.tensor, static_cast<uint64_t>(begin) * row_bytes, out);
}

// GGUF's `llama` stores a head's rows as 0, d/2, 1, d/2 + 1, ...: put them back. Whole heads are read.
Status RowReader::read_interleaved(const WeightSegment& segment, size_t row_bytes, int64_t begin,
                                   int64_t count, std::span<std::byte> out) {
  const int64_t d = segment.rows / segment.interleaved_heads;
  const int64_t first = begin / d * d;
  const int64_t last = (begin + count + d - 1) / d * d;
  heads_.resize(static_cast<size_t>(last - first) * row_bytes);
  RETURN_IF_ERROR(source_.read(*segment.tensor, static_cast<uint64_t>(first) * row_bytes, heads_));
  for (int64_t r = begin; r < begin + count; ++r) {
    const int64_t head = r / d * d;
    const int64_t half = (r - head) / (d / 2);
    const int64_t stored_at = head + 2 * ((r - head) % (d / 2)) + half;
    std::memcpy(out.data() + static_cast<size_t>(r - begin) * row_bytes,
                heads_.data() + static_cast<size_t>(stored_at - first) * row_bytes, row_bytes);
  }
  return ok_status();
}

}  // namespace pegainfer

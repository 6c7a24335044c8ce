#include "backend/check/checked_backend.h"

#include <utility>

#include "base/check.h"

namespace pegainfer {

CheckedBackend::CheckedBackend(std::unique_ptr<Backend> inner)
    : inner_(std::move(inner)), ops_(inner_->ops()) {}

void CheckedBackend::upload(std::span<const std::byte> from, std::span<std::byte> to) {
  CHECK(from.size() <= to.size(), "upload of {} bytes into {}", from.size(), to.size());
  inner_->upload(from, to);
}

void CheckedBackend::download(std::span<const std::byte> from, std::span<std::byte> to) {
  CHECK(from.size() <= to.size(), "download of {} bytes into {}", from.size(), to.size());
  inner_->download(from, to);
}

void CheckedBackend::pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) {
  const size_t bytes = row_bytes(part.format, part.cols);
  CHECK(part.data != nullptr && part.rows > 0 && part.cols > 0, "a part of {} x {} without memory", part.rows,
        part.cols);
  CHECK(part.cols % info_of(part.format).block_elements == 0, "{} columns of {}", part.cols,
        info_of(part.format).name);
  CHECK(rows.size() % bytes == 0, "{} bytes are not whole rows of {}", rows.size(), bytes);
  const auto count = static_cast<int64_t>(rows.size() / bytes);
  CHECK(row_begin >= 0 && row_begin % kPackRows == 0 && row_begin + count <= part.rows, "rows [{}, {}) of {}",
        row_begin, row_begin + count, part.rows);
  CHECK(count % kPackRows == 0 || row_begin + count == part.rows,
        "{} rows at {}: only the last of {} rows may be no multiple of {}", count, row_begin, part.rows,
        kPackRows);
  inner_->pack_rows(part, row_begin, rows);
}

void CheckedBackend::fill_dummy(const WeightPart& part, uint64_t key, float scale) {
  CHECK(part.data != nullptr && part.rows > 0 && part.cols > 0, "a part of {} x {} without memory", part.rows,
        part.cols);
  CHECK(!is_quantized(part.format), "made-up weights in {}", info_of(part.format).name);
  CHECK(scale > 0, "made-up weights of scale {}", scale);
  inner_->fill_dummy(part, key, scale);
}

}  // namespace pegainfer

// Arena: bump memory for one step over one fixed block. Addresses depend only on the sequence of makes and
// scopes, so an eager run, a captured one and a dry run (which measures peak()) see the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "tensor/tensor.h"

namespace pegainfer {

class Arena {
 public:
  static constexpr size_t kAlignment = 64;

  explicit Arena(std::span<std::byte> block) : base_(block.data()), size_(block.size()) {}
  // A dry run: no memory behind it, addresses are offsets from `fake_base` and must never be touched.
  static Arena dry(size_t size) { return Arena(size); }

  Tensor make(DType dtype, int64_t rows, int64_t cols) {
    const size_t bytes = static_cast<size_t>(rows * cols) * size_of(dtype);
    const size_t begin = used_;
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    CHECK(used_ <= size_, "step needs {} bytes of workspace, {} were planned", used_, size_);
    peak_ = std::max(peak_, used_);
    return Tensor::of(base_ + begin, dtype, rows, cols);
  }
  void reset() { used_ = 0; }
  [[nodiscard]] size_t peak() const { return peak_; }
  [[nodiscard]] size_t used() const { return used_; }

  class Scope {  // at the end of a block, frees what the block made (one decoder layer)
   public:
    explicit Scope(Arena& arena) : arena_(arena), mark_(arena.used_) {}
    ~Scope() { arena_.used_ = mark_; }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    size_t mark_;
  };

 private:
  explicit Arena(size_t size) : base_(reinterpret_cast<std::byte*>(kAlignment)), size_(size) {}  // NOLINT
  std::byte* base_;
  size_t size_;
  size_t used_ = 0;
  size_t peak_ = 0;
};

}  // namespace pegainfer

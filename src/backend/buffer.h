// Buffer: owned, move-only memory of a backend, 64-byte aligned and zeroed.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <utility>

namespace pegainfer {

class Buffer {
 public:
  using Deleter = std::function<void(std::byte*)>;
  Buffer() = default;
  Buffer(std::byte* data, size_t size, Deleter deleter) : data_(data, std::move(deleter)), size_(size) {}
  [[nodiscard]] std::span<std::byte> bytes() const { return {data_.get(), size_}; }
  [[nodiscard]] std::byte* data() const { return data_.get(); }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  std::unique_ptr<std::byte, Deleter> data_{nullptr, [](std::byte*) {}};
  size_t size_ = 0;
};

}  // namespace pegainfer

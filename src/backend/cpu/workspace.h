// Workspace: the memory that CPU ops need besides their arguments, sized once at start-up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "backend/backend.h"
#include "backend/buffer.h"

namespace pegainfer {

// Memory that grows until it is sealed.
class WorkspaceBuffer {
 public:
  explicit WorkspaceBuffer(std::string_view name) : name_(name) {}
  [[nodiscard]] Status reserve(size_t bytes);
  // At least `bytes`. Grows when not sealed (contents are lost); beyond a sealed size it is a bug.
  std::byte* get(size_t bytes);
  void seal() { sealed_ = true; }
  [[nodiscard]] size_t size() const { return buffer_.size(); }
  [[nodiscard]] bool sealed() const { return sealed_; }
  [[nodiscard]] uint64_t num_allocations() const { return num_allocations_; }

 private:
  std::string_view name_;
  Buffer buffer_;
  bool sealed_ = false;
  uint64_t num_allocations_ = 0;
};

struct Workspace {
  WorkspaceBuffer prepared{"linear inputs"};
  WorkspaceBuffer linear{"linear scratch"};      // per thread
  WorkspaceBuffer sampling{"sampling scratch"};  // per thread
  WorkspaceBuffer partials{"attention partials"};
  WorkspaceBuffer sequences{"attention plan"};

  // More would not make attention faster, only start-up slower.
  static constexpr size_t kMaxPartialsBytes = size_t{64} << 20U;

  [[nodiscard]] Status reserve(const StepLimits& limits, int threads);
  // Bytes that reserve() takes in all.
  [[nodiscard]] static size_t bytes(const StepLimits& limits, int threads);
  [[nodiscard]] uint64_t num_allocations() const;
};

}  // namespace pegainfer

// CudaContext: one device, one stream, and whether it is still well. What every part of the backend shares.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "backend/buffer.h"
#include "pegainfer/result.h"

namespace pegainfer {

struct CudaDevice {
  int index = 0;
  std::string name;
  int major = 0;  // compute capability
  int minor = 0;
  int num_sms = 0;
  size_t shared_bytes_per_block = 0;  // the most a CTA can ask for
  size_t shared_bytes_per_sm = 0;
  size_t l2_bytes = 0;
  int driver_version = 0;  // 13000: 13.0
};

class CudaContext {
 public:
  // An error says what is missing: a device, a driver new enough, an architecture this build has code for.
  static Result<std::unique_ptr<CudaContext>> create(int device_index);
  ~CudaContext();
  CudaContext(const CudaContext&) = delete;
  CudaContext& operator=(const CudaContext&) = delete;

  [[nodiscard]] const CudaDevice& device() const { return device_; }
  [[nodiscard]] cudaStream_t stream() const { return stream_; }

  // Remembers the first error, and which op saw it. With `check_every_op` it waits for each op, so that the
  // op named is the one that failed; else an error of a kernel shows at a later call.
  void note(std::string_view op, cudaError_t error);
  void check_every_op(bool on) { check_every_op_ = on; }
  [[nodiscard]] const Status& health() const { return health_; }

  // Device memory, 256-byte aligned and zeroed; counted.
  Result<Buffer> allocate(size_t bytes);
  Result<Buffer> allocate_pinned(size_t bytes);  // host memory
  [[nodiscard]] uint64_t num_allocations() const { return num_allocations_; }

 private:
  CudaContext() = default;

  CudaDevice device_;
  cudaStream_t stream_ = nullptr;
  Status health_ = ok_status();
  std::string last_op_;  // enqueued
  bool check_every_op_ = false;
  uint64_t num_allocations_ = 0;
};

// Memory of an op group that is sized by reserve() and grows before that.
class CudaScratch {
 public:
  explicit CudaScratch(CudaContext& context) : context_(context) {}
  Status reserve(size_t bytes);
  // At least `bytes`; beyond a reserved size it is a bug. While nothing is reserved it grows (tests).
  std::byte* get(size_t bytes);
  [[nodiscard]] size_t size() const { return buffer_.size(); }

 private:
  CudaContext& context_;
  Buffer buffer_;
  bool sealed_ = false;
};

}  // namespace pegainfer

// CpuBackend: ops run when they are called, on this machine's cores; memory is the process's own. Submitted
// tasks run on the stream's thread, which is then worker 0 of the pool.
#pragma once

#include <atomic>
#include <memory>

#include "backend/backend.h"
#include "backend/cpu/stream.h"
#include "backend/cpu/thread_pool.h"
#include "backend/cpu/workspace.h"
#include "kernels/cpu/isa.h"

namespace pegainfer {

struct CpuBackendOptions {
  int threads = 0;  // 0: all physical cores this process may use
  cpu::Isa isa = cpu::detect_isa();
};

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuBackendOptions& options);

  [[nodiscard]] std::string_view name() const override { return "cpu"; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] DeviceMemory memory() const override;
  Ops& ops() override { return *ops_; }
  Status reserve(const StepLimits& limits) override;
  [[nodiscard]] size_t reserve_bytes(const StepLimits& limits) const override;
  Result<Buffer> allocate(size_t bytes) override;
  Result<Buffer> allocate_staging(size_t bytes) override;
  [[nodiscard]] uint64_t num_allocations() const override {
    return num_allocations_.load() + workspace_.num_allocations();
  }
  void upload(std::span<const std::byte> from, std::span<std::byte> to) override;
  void download(std::span<const std::byte> from, std::span<std::byte> to) override;
  void submit(StreamTask& task) override { stream_.submit(task); }
  std::unique_ptr<Event> make_event() override;
  void record_into(Event& event) override;
  std::unique_ptr<Graph> capture(const std::function<void()>& enqueue) override;
  [[nodiscard]] Result<size_t> packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const override;
  void pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) override;
  void fill_dummy(const WeightPart& part, uint64_t key, float scale) override;

 private:
  cpu::Isa isa_;
  ThreadPool pool_;
  Workspace workspace_;
  std::unique_ptr<Ops> ops_;
  std::atomic<uint64_t> num_allocations_{0};
  CpuStream stream_;  // last: its thread uses all of the above
};

}  // namespace pegainfer

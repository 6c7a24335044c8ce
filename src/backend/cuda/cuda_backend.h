// CudaBackend: one NVIDIA GPU. Ops, copies and events go to one stream; weights are converted to BF16 on the
// device as they are loaded.
#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"
#include "backend/cuda/cuda_context.h"
#include "backend/cuda/cuda_ops.h"

namespace pegainfer {

class CudaBackend final : public Backend {
 public:
  // check_every_op: waits for each op, so that an error names the one that failed.
  static Result<std::unique_ptr<CudaBackend>> create(int device, bool check_every_op);
  ~CudaBackend() override;

  [[nodiscard]] std::string_view name() const override { return "cuda"; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] DeviceMemory memory() const override;
  Ops& ops() override;
  [[nodiscard]] cudaStream_t stream() const { return context_->stream(); }
  [[nodiscard]] Status health() const override { return context_->health(); }
  [[nodiscard]] bool prefers_graphs() const override { return true; }
  [[nodiscard]] int default_max_num_batched_tokens() const override { return kCudaMaxNumBatchedTokens; }
  [[nodiscard]] int head_rows() const override { return kCudaHeadRows; }
  // Also ends the loading of weights: what that took of the device's memory is given back.
  Status reserve(const StepLimits& limits) override;
  [[nodiscard]] size_t reserve_bytes(const StepLimits& limits) const override;
  void begin_warm_up() override;
  Status end_warm_up() override;
  Result<Buffer> allocate(size_t bytes) override;
  Result<Buffer> allocate_staging(size_t bytes) override;
  [[nodiscard]] uint64_t num_allocations() const override { return context_->num_allocations(); }
  void upload(std::span<const std::byte> from, std::span<std::byte> to) override;
  void download(std::span<const std::byte> from, std::span<std::byte> to) override;
  void submit(StreamTask& task) override;
  std::unique_ptr<Event> make_event() override;
  void record_into(Event& event) override;
  std::unique_ptr<Graph> capture(const std::function<void()>& enqueue) override;
  [[nodiscard]] Result<size_t> packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const override;
  void pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) override;
  void fill_dummy(const WeightPart& part, uint64_t key, float scale) override;

 private:
  explicit CudaBackend(std::unique_ptr<CudaContext> context) : context_(std::move(context)) {}
  // The runtime's device is one of the thread's: every thread that calls has to have ours.
  void use_device() const;
  [[nodiscard]] std::byte* place_of_row(const WeightPart& part, int64_t row) const;

  std::unique_ptr<CudaContext> context_;
  std::unique_ptr<CudaOps> ops_;
  Buffer converting_;  // rows in checkpoint layout on their way to BF16; while weights are loaded
};

}  // namespace pegainfer

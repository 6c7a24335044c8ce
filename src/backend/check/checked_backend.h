// CheckedBackend: another backend whose ops are checked (checked_ops.h).
#pragma once

#include <memory>

#include "backend/backend.h"
#include "backend/check/checked_ops.h"

namespace pegainfer {

class CheckedBackend final : public Backend {
 public:
  explicit CheckedBackend(std::unique_ptr<Backend> inner);

  [[nodiscard]] std::string_view name() const override { return inner_->name(); }
  [[nodiscard]] std::string description() const override { return inner_->description() + ", checked"; }
  [[nodiscard]] DeviceMemory memory() const override { return inner_->memory(); }
  Ops& ops() override { return ops_; }
  [[nodiscard]] Status health() const override { return inner_->health(); }
  Status reserve(const StepLimits& limits) override { return inner_->reserve(limits); }
  [[nodiscard]] size_t reserve_bytes(const StepLimits& limits) const override {
    return inner_->reserve_bytes(limits);
  }
  Result<Buffer> allocate(size_t bytes) override { return inner_->allocate(bytes); }
  Result<Buffer> allocate_staging(size_t bytes) override { return inner_->allocate_staging(bytes); }
  [[nodiscard]] uint64_t num_allocations() const override { return inner_->num_allocations(); }
  void upload(std::span<const std::byte> from, std::span<std::byte> to) override;
  void download(std::span<const std::byte> from, std::span<std::byte> to) override;
  void submit(StreamTask& task) override { inner_->submit(task); }
  std::unique_ptr<Event> make_event() override { return inner_->make_event(); }
  void record_into(Event& event) override { inner_->record_into(event); }
  std::unique_ptr<Graph> capture(const std::function<void()>& enqueue) override {
    return inner_->capture(enqueue);
  }
  [[nodiscard]] Result<size_t> packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const override {
    return inner_->packed_bytes(format, rows, cols);
  }
  void pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) override;
  void fill_dummy(const WeightPart& part, uint64_t key, float scale) override;

 private:
  std::unique_ptr<Backend> inner_;
  CheckedOps ops_;
};

}  // namespace pegainfer

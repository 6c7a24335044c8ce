// NullBackend: shapes without arithmetic. A dry run on it measures a step's workspace; a scheduler soak on it
// needs no model.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace pegainfer {

// Ops that touch nothing: tensors may point anywhere.
class NullOps final : public Ops {
 public:
  void take_tokens(Tensor, Tensor, Tensor) override {}
  void embedding(const Weight&, Tensor, Tensor) override {}
  void rms_norm(Tensor, Tensor, float, Tensor) override {}
  void add(Tensor, Tensor) override {}
  void linear(Tensor, const Weight&, Tensor) override {}
  void rope_table(Tensor, Tensor, float, DType, Tensor) override {}
  void qk_norm_rope(Tensor, Tensor, int, Tensor, Tensor, float, Tensor) override {}
  void store_kv(Tensor, Tensor, int, const BatchView&) override {}
  void paged_attention(Tensor, const AttentionParams&, const BatchView&, Tensor) override {}
  void silu_mul(Tensor, Tensor) override {}
  void gather_rows(Tensor, Tensor, Tensor) override {}
  void add_logits(Tensor, const LogitEditsView&) override {}
  void mask_logits(Tensor, const MaskView&) override {}
  void apply_penalties(Tensor, const PenaltyView&) override {}
  void sample(Tensor, const SamplerView&, Tensor) override {}
  void logprobs(Tensor, Tensor, int, Tensor, Tensor, Tensor) override {}
};

class NullBackend : public Backend {
 public:
  [[nodiscard]] std::string_view name() const override { return "null"; }
  [[nodiscard]] std::string description() const override { return "null (no arithmetic)"; }
  [[nodiscard]] DeviceMemory memory() const override;
  Ops& ops() override { return ops_; }
  Status reserve(const StepLimits& /*limits*/) override { return ok_status(); }
  [[nodiscard]] size_t reserve_bytes(const StepLimits& /*limits*/) const override { return 0; }
  Result<Buffer> allocate(size_t bytes) override;  // zeros, and pages only where they are touched
  Result<Buffer> allocate_staging(size_t bytes) override { return allocate(bytes); }
  [[nodiscard]] uint64_t num_allocations() const override { return num_allocations_; }
  void upload(std::span<const std::byte> from, std::span<std::byte> to) override;
  void download(std::span<const std::byte> from, std::span<std::byte> to) override;
  void submit(StreamTask& task) override { task.run(); }
  std::unique_ptr<Event> make_event() override;
  void record_into(Event& /*event*/) override {}
  std::unique_ptr<Graph> capture(const std::function<void()>& enqueue) override;
  [[nodiscard]] Result<size_t> packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const override;
  void pack_rows(const WeightPart& /*part*/, int64_t /*row_begin*/,
                 std::span<const std::byte> /*rows*/) override {}
  void fill_dummy(const WeightPart& /*part*/, uint64_t /*key*/, float /*scale*/) override {}

 private:
  NullOps ops_;
  uint64_t num_allocations_ = 0;
};

}  // namespace pegainfer

// A checkpoint whose tensors are in memory, and a backend whose packed layout is the checkpoint's own: so
// that tests of weight loading see every byte.
#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/check.h"
#include "checkpoint/checkpoint.h"
#include "support/tiny_model.h"
#include "tensor/dummy_rows.h"

namespace pegainfer::testing {

class MemorySource final : public TensorSource {
 public:
  void add(TensorInfo info, std::vector<std::byte> bytes) {
    info.bytes = bytes.size();
    info.offset = next_offset_;
    next_offset_ += bytes.size();
    infos_.push_back(std::move(info));
    bytes_.push_back(std::move(bytes));
  }
  void add(const std::string& name, std::vector<int64_t> shape, const std::vector<float>& values,
           const std::string& dtype) {
    const WeightFormat format = dtype == "float32"   ? WeightFormat::kF32
                                : dtype == "float16" ? WeightFormat::kF16
                                                     : WeightFormat::kBF16;
    add({.name = name,
         .format = format,
         .dtype_name = std::string(info_of(format).name),
         .shape = std::move(shape)},
        encode_values(values, dtype));
  }
  TensorInfo& info(const std::string& name) {
    for (TensorInfo& t : infos_)
      if (t.name == name) return t;
    CHECK(false, "no tensor {}", name);
  }
  void remove(const std::string& name) {
    for (size_t i = 0; i < infos_.size(); ++i) {
      if (infos_[i].name != name) continue;
      infos_.erase(infos_.begin() + static_cast<ptrdiff_t>(i));
      bytes_.erase(bytes_.begin() + static_cast<ptrdiff_t>(i));
      return;
    }
    CHECK(false, "no tensor {}", name);
  }
  void fail_reads_of(const std::string& name) { broken_.insert(name); }
  // Called by every read, on the thread that reads.
  std::function<void(const TensorInfo& tensor, uint64_t begin)> on_read;

  [[nodiscard]] std::span<const TensorInfo> tensors() const override { return infos_; }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override {
    for (const TensorInfo& t : infos_)
      if (t.name == name) return &t;
    return nullptr;
  }
  [[nodiscard]] std::span<const std::string> file_names() const override { return files_; }
  [[nodiscard]] Status read(const TensorInfo& tensor, uint64_t begin,
                            std::span<std::byte> out) const override {
    if (on_read) on_read(tensor, begin);
    if (broken_.contains(tensor.name)) return io_error(tensor.name + ": the disk is gone");
    const std::vector<std::byte>& bytes = bytes_[static_cast<size_t>(&tensor - infos_.data())];
    CHECK(begin + out.size() <= bytes.size(), "{}: {} + {} of {}", tensor.name, begin, out.size(),
          bytes.size());
    std::memcpy(out.data(), bytes.data() + begin, out.size());
    return ok_status();
  }

 private:
  std::vector<TensorInfo> infos_;
  std::vector<std::vector<std::byte>> bytes_;
  std::vector<std::string> files_{"memory"};
  std::set<std::string> broken_;
  uint64_t next_offset_ = 0;
};

inline ModelConfig tiny_model_config(const TinyModel& m) {
  ModelConfig c;
  c.architecture = m.model_type == "qwen3"     ? Architecture::kQwen3
                   : m.model_type == "qwen2"   ? Architecture::kQwen2
                   : m.model_type == "mistral" ? Architecture::kMistral
                                               : Architecture::kLlama;
  c.architecture_name = m.architecture;
  c.hidden_size = m.hidden;
  c.num_layers = m.layers;
  c.num_heads = m.heads;
  c.num_kv_heads = m.kv_heads;
  c.head_dim = m.head_dim;
  c.intermediate_size = m.intermediate;
  c.vocab_size = m.vocab;
  c.max_position_embeddings = m.max_position;
  c.tie_word_embeddings = m.tied;
  c.attention_bias = m.attention_bias;
  c.attention_output_bias = m.attention_output_bias;
  c.mlp_bias = m.mlp_bias;
  c.qk_norm = m.qk_norm;
  c.sliding_window = m.window;
  c.torch_dtype = m.dtype;
  return c;
}

struct MemoryCheckpoint {
  Checkpoint checkpoint;
  MemorySource* source = nullptr;  // the checkpoint's own

  explicit MemoryCheckpoint(const TinyModel& model) {
    auto owned = std::make_unique<MemorySource>();
    source = owned.get();
    for (const TinyTensor& t : tiny_tensors(model)) source->add(t.name, t.shape, t.values, model.dtype);
    checkpoint.config = tiny_model_config(model);
    checkpoint.tensors = std::move(owned);
  }
};

class PlainBackend : public Backend {
 public:
  size_t available = size_t{1} << 40U;
  uint64_t allocations = 0;
  size_t taken = 0;  // by others
  bool holds_staging = false;
  size_t ops_bytes = 0;  // what reserve() would take
  std::set<WeightFormat> refused;

  [[nodiscard]] std::string_view name() const override { return "plain"; }
  [[nodiscard]] std::string description() const override { return "plain"; }
  [[nodiscard]] DeviceMemory memory() const override { return {available + taken, available, holds_staging}; }
  Ops& ops() override { CHECK(false, "the plain backend computes nothing"); }
  Status reserve(const StepLimits&) override { return ok_status(); }
  [[nodiscard]] size_t reserve_bytes(const StepLimits&) const override { return ops_bytes; }
  [[nodiscard]] uint64_t num_allocations() const override { return allocations; }
  void submit(StreamTask& task) override { task.run(); }
  void record_into(Event&) override {}
  Result<Buffer> allocate(size_t bytes) override {
    ++allocations;
    return Buffer(new std::byte[bytes](), bytes, [](std::byte* p) { delete[] p; });  // NOLINT
  }
  Result<Buffer> allocate_staging(size_t bytes) override { return allocate(bytes); }
  void upload(std::span<const std::byte> from, std::span<std::byte> to) override {
    std::memcpy(to.data(), from.data(), from.size());
  }
  void download(std::span<const std::byte> from, std::span<std::byte> to) override {
    std::memcpy(to.data(), from.data(), from.size());
  }
  std::unique_ptr<Event> make_event() override {
    struct Done final : Event {
      void wait() override {}
      bool done() override { return true; }
    };
    return std::make_unique<Done>();
  }
  std::unique_ptr<Graph> capture(const std::function<void()>&) override { return nullptr; }
  [[nodiscard]] Result<size_t> packed_bytes(WeightFormat format, int64_t rows, int64_t cols) const override {
    if (refused.contains(format)) return unsupported(std::string(info_of(format).name) + " cannot be packed");
    return (static_cast<size_t>(rows) * row_bytes(format, cols) + 63) / 64 * 64;
  }
  void pack_rows(const WeightPart& part, int64_t row_begin, std::span<const std::byte> rows) override {
    const size_t bytes_per_row = row_bytes(part.format, part.cols);
    CHECK(row_begin % kPackRows == 0, "row {}", row_begin);
    const auto count = static_cast<int64_t>(rows.size() / bytes_per_row);
    CHECK(count % kPackRows == 0 || row_begin + count == part.rows, "{} rows from {}", count, row_begin);
    std::memcpy(part.data + static_cast<size_t>(row_begin) * bytes_per_row, rows.data(), rows.size());
  }
  void fill_dummy(const WeightPart& part, uint64_t key, float scale) override {
    write_dummy_rows(part, key, scale, 0,
                     {part.data, static_cast<size_t>(part.rows) * row_bytes(part.format, part.cols)});
  }
};

}  // namespace pegainfer::testing

#include "model/dummy_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "model/registry.h"
#include "tensor/dummy_value.h"

namespace pegainfer {

namespace {

class ConfiguredTensors final : public TensorSource {
 public:
  void add(const WeightSpec& spec, int layer, WeightFormat format) {
    TensorInfo info;
    info.name = layer_name(spec.hf, layer);
    info.format = format;
    info.dtype_name = std::string(info_of(format).name);
    info.shape = {spec.rows};
    if (spec.role == WeightRole::kMatrix) info.shape.push_back(spec.cols);
    info.offset = offset_;
    info.bytes = static_cast<uint64_t>(spec.rows) *
                 row_bytes(format, spec.role == WeightRole::kMatrix ? spec.cols : 1);
    offset_ += info.bytes;
    infos_.push_back(std::move(info));
  }

  [[nodiscard]] std::span<const TensorInfo> tensors() const override { return infos_; }
  [[nodiscard]] const TensorInfo* find(std::string_view name) const override {
    const auto at = std::find_if(infos_.begin(), infos_.end(), [&](const auto& t) { return t.name == name; });
    return at == infos_.end() ? nullptr : &*at;
  }
  [[nodiscard]] std::span<const std::string> file_names() const override { return {}; }
  [[nodiscard]] Status read(const TensorInfo& tensor, uint64_t /*begin*/,
                            std::span<std::byte> /*out*/) const override {
    return internal_error(fmt::format("tensor {} was never stored", tensor.name));
  }

 private:
  std::vector<TensorInfo> infos_;
  uint64_t offset_ = 0;
};

WeightFormat format_of(const ModelConfig& config) {
  if (config.torch_dtype == "float32") return WeightFormat::kF32;
  if (config.torch_dtype == "float16") return WeightFormat::kF16;
  return WeightFormat::kBF16;
}

}  // namespace

Result<std::unique_ptr<TensorSource>> configured_tensors(const ModelConfig& config) {
  ASSIGN_OR_RETURN(const ModelDefinition* definition, find_model(config));
  ASSIGN_OR_RETURN(const std::vector<WeightSpec> table, definition->weights(config));
  auto tensors = std::make_unique<ConfiguredTensors>();
  for (const WeightSpec& spec : table) {
    const bool per_layer = spec.into.find("{}") != std::string_view::npos;
    for (int i = 0; i < (per_layer ? config.num_layers : 1); ++i) tensors->add(spec, i, format_of(config));
  }
  return std::unique_ptr<TensorSource>(std::move(tensors));
}

void fill_dummy_weights(const WeightPlan& plan, Backend& backend, std::span<std::byte> memory, uint64_t seed,
                        const LoadProgress& progress) {
  CHECK(memory.size() >= plan.bytes, "{} bytes of memory for {} of weights", memory.size(), plan.bytes);
  std::vector<std::vector<float>> host;  // lives until the uploads have ended
  const auto upload = [&](const PlannedVector& vector, float value) {
    if (vector.size == 0) return;
    const std::vector<float>& values = host.emplace_back(
        vector.values.empty() ? std::vector<float>(static_cast<size_t>(vector.size), value) : vector.values);
    const auto bytes = std::as_bytes(std::span(values));
    backend.upload(bytes, memory.subspan(vector.offset, bytes.size()));
  };
  size_t done = 0;
  for (const auto& [name, weight] : plan.weights) {
    for (size_t i = 0; i < weight.parts.size(); ++i) {
      const PlannedPart& part = weight.parts[i];
      backend.fill_dummy({part.packed, part.rows, part.cols, memory.data() + part.offset},
                         dummy_key(name.data(), name.size(), static_cast<int>(i), seed), kDummyScale);
    }
    upload(weight.bias, 0);
    ++done;
    if (progress) progress(plan.checkpoint_bytes * done / plan.weights.size(), plan.checkpoint_bytes);
  }
  for (const auto& [name, vector] : plan.vectors) upload(vector, 1);
  backend.record()->wait();
}

}  // namespace pegainfer

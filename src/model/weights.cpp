#include "model/weights.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "base/check.h"

namespace pegainfer {

namespace {

constexpr size_t kAlignment = 64;

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

bool is_float(WeightFormat f) {
  return f == WeightFormat::kF32 || f == WeightFormat::kF16 || f == WeightFormat::kBF16;
}

WeightFormat packed_format(WeightFormat stored, DType arithmetic) {
  const bool wide = stored == WeightFormat::kF32 || stored == WeightFormat::kF16;
  return wide && arithmetic == DType::kBF16 ? WeightFormat::kBF16 : stored;
}

// Takes the tensors of the table out of the checkpoint, one by one, and lays them out.
class Planner {
 public:
  Planner(const Checkpoint& checkpoint, DType arithmetic, const Backend& backend)
      : source_(*checkpoint.tensors),
        gguf_(checkpoint.kind == CheckpointKind::kGguf),
        config_(*checkpoint.config),
        arithmetic_(arithmetic),
        backend_(backend) {}

  Status take(const WeightSpec& spec, int layer);
  Status check_all_used() const;
  Status check_tied_head(bool read_values) const;
  Result<WeightPlan> finish();

 private:
  Result<const TensorInfo*> find(const WeightSpec& spec, const std::string& name, bool is_matrix);
  Status add_matrix(PlannedWeight& weight, const WeightSpec& spec, const TensorInfo& tensor);
  [[nodiscard]] bool harmless(const TensorInfo& tensor) const;

  const TensorSource& source_;
  bool gguf_;
  const ModelConfig& config_;
  DType arithmetic_;
  const Backend& backend_;
  std::set<std::string_view> used_;
  WeightPlan plan_;
};

Result<const TensorInfo*> Planner::find(const WeightSpec& spec, const std::string& name, bool is_matrix) {
  const std::vector<int64_t> expected =
      is_matrix ? std::vector<int64_t>{spec.rows, spec.cols} : std::vector<int64_t>{spec.rows};
  const TensorInfo* tensor = source_.find(name);
  if (tensor == nullptr)
    return invalid_argument(fmt::format("tensor {} is missing; {} needs it with shape {}", name,
                                        config_.architecture_name, shape_text(expected)));
  if (!tensor->supported)
    return unsupported(
        fmt::format("tensor {} has dtype {}, which is not supported", name, tensor->dtype_name));
  if (tensor->shape != expected)
    return invalid_argument(fmt::format("tensor {} has shape {}, the configuration says {}", name,
                                        shape_text(tensor->shape), shape_text(expected)));
  if (!is_matrix && !is_float(tensor->format))
    return unsupported(fmt::format("tensor {} has dtype {}; a norm or bias must be F32, F16 or BF16", name,
                                   tensor->dtype_name));
  return tensor;
}

Status Planner::take(const WeightSpec& spec, int layer) {
  const std::string name = layer_name(gguf_ ? spec.gguf : spec.hf, layer);
  const std::string into = layer_name(spec.into, layer);
  const bool is_matrix = spec.role == WeightRole::kMatrix;
  ASSIGN_OR_RETURN(const TensorInfo* tensor, find(spec, name, is_matrix));
  used_.insert(tensor->name);
  plan_.checkpoint_bytes += tensor->bytes;
  if (is_matrix) return add_matrix(plan_.weights[into], spec, *tensor);
  PlannedVector& vector = spec.role == WeightRole::kBias ? plan_.weights[into].bias : plan_.vectors[into];
  vector.size += spec.rows;
  vector.segments.push_back({tensor, spec.rows, spec.interleaved_heads});
  return ok_status();
}

Status Planner::add_matrix(PlannedWeight& weight, const WeightSpec& spec, const TensorInfo& tensor) {
  const WeightSegment segment{&tensor, spec.rows, spec.interleaved_heads};
  if (!weight.parts.empty() && weight.parts.back().stored == tensor.format) {  // one block of rows, one part
    weight.parts.back().rows += spec.rows;
    weight.parts.back().segments.push_back(segment);
    return ok_status();
  }
  const WeightFormat packed = packed_format(tensor.format, arithmetic_);
  if (auto bytes = backend_.packed_bytes(packed, spec.rows, spec.cols); !bytes)
    return Error{
        bytes.error().code, fmt::format("tensor {}: {}", tensor.name, bytes.error().message), {}, {}};
  CHECK(weight.parts.size() < Weight::kMaxParts, "{} parts for {}", weight.parts.size() + 1, tensor.name);
  weight.parts.push_back({.stored = tensor.format,
                          .packed = packed,
                          .rows = spec.rows,
                          .cols = spec.cols,
                          .segments = {segment}});
  return ok_status();
}

// Tensors that checkpoints carry and nobody needs: caches of what the configuration says.
bool Planner::harmless(const TensorInfo& tensor) const {
  const std::string_view name = tensor.name;
  if (gguf_) return name == "rope_freqs.weight";  // read with the configuration
  return name.ends_with("rotary_emb.inv_freq") || (config_.tie_word_embeddings && name == "lm_head.weight");
}

Status Planner::check_all_used() const {
  const TensorInfo* first = nullptr;
  int count = 0;
  for (const TensorInfo& tensor : source_.tensors()) {
    if (used_.contains(tensor.name) || harmless(tensor)) continue;
    if (first == nullptr) first = &tensor;
    ++count;
  }
  if (first == nullptr) return ok_status();
  const std::string more = count > 1 ? fmt::format(" (and {} more)", count - 1) : "";
  return invalid_argument(fmt::format("tensor {} {} {}{} is not part of {} with {} layers as configured",
                                      first->name, first->dtype_name, shape_text(first->shape), more,
                                      config_.architecture_name, config_.num_layers));
}

// Some checkpoints store a tied head a second time. It must then be what the configuration says it is.
Status Planner::check_tied_head(bool read_values) const {
  const TensorInfo* head = source_.find(gguf_ ? "output.weight" : "lm_head.weight");
  const TensorInfo* embedding = source_.find(gguf_ ? "token_embd.weight" : "model.embed_tokens.weight");
  if (!config_.tie_word_embeddings || gguf_ || head == nullptr || embedding == nullptr) return ok_status();
  const auto differs = [&](std::string_view how) {
    return invalid_argument(fmt::format("tensor {} differs from {} in {}, but tie_word_embeddings is true",
                                        head->name, embedding->name, how));
  };
  if (head->shape != embedding->shape) return differs("shape");
  if (head->dtype_name != embedding->dtype_name) return differs("dtype");
  if (!read_values) return ok_status();
  constexpr uint64_t kChunk = 1U << 20U;
  std::vector<std::byte> a(kChunk);
  std::vector<std::byte> b(kChunk);
  for (uint64_t at = 0; at < head->bytes; at += kChunk) {
    const size_t n = std::min(kChunk, head->bytes - at);
    RETURN_IF_ERROR(source_.read(*head, at, {a.data(), n}));
    RETURN_IF_ERROR(source_.read(*embedding, at, {b.data(), n}));
    if (!std::equal(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin())) return differs("values");
  }
  return ok_status();
}

Result<WeightPlan> Planner::finish() {
  for (auto& [name, weight] : plan_.weights) {
    CHECK(!weight.parts.empty(), "{} has a bias and no matrix", name);
    int64_t rows = 0;
    for (PlannedPart& part : weight.parts) {
      rows += part.rows;
      ASSIGN_OR_RETURN(const size_t bytes, backend_.packed_bytes(part.packed, part.rows, part.cols));
      part.offset = plan_.bytes;
      plan_.bytes += aligned(bytes);
    }
    CHECK(weight.bias.size == 0 || weight.bias.size == rows, "{}: bias of {} for {} rows", name,
          weight.bias.size, rows);
    weight.bias.offset = plan_.bytes;
    plan_.bytes += aligned(static_cast<size_t>(weight.bias.size) * sizeof(float));
  }
  for (auto& [name, vector] : plan_.vectors) {
    vector.offset = plan_.bytes;
    plan_.bytes += aligned(static_cast<size_t>(vector.size) * sizeof(float));
  }
  return std::move(plan_);
}

}  // namespace

void WeightPlan::add_constant(const std::string& name, std::vector<float> values) {
  PlannedVector vector;
  vector.size = static_cast<int64_t>(values.size());
  vector.values = std::move(values);
  vector.offset = bytes;
  bytes += aligned(vector.values.size() * sizeof(float));
  CHECK(vectors.emplace(name, std::move(vector)).second, "{} is there already", name);
}

DType default_arithmetic(const TensorSource& tensors) {
  for (const TensorInfo& t : tensors.tensors()) {
    const bool wide = t.format == WeightFormat::kF32 || t.format == WeightFormat::kF16;
    if (t.supported && t.shape.size() == 2 && !wide) return DType::kBF16;
  }
  return DType::kF32;
}

Result<WeightPlan> plan_weights(const std::vector<WeightSpec>& table, const Checkpoint& checkpoint,
                                DType arithmetic, const Backend& backend, bool read_values) {
  CHECK(checkpoint.tensors != nullptr && checkpoint.config.has_value(), "opened without weights");
  Planner planner(checkpoint, arithmetic, backend);
  for (const WeightSpec& spec : table) {
    const bool per_layer = spec.into.find("{}") != std::string_view::npos;
    for (int i = 0; i < (per_layer ? checkpoint.config->num_layers : 1); ++i)
      RETURN_IF_ERROR(planner.take(spec, i));
  }
  RETURN_IF_ERROR(planner.check_all_used());
  RETURN_IF_ERROR(planner.check_tied_head(read_values));
  return planner.finish();
}

WeightMap::WeightMap(const WeightPlan& plan, std::byte* base) {
  const auto vector_at = [&](const PlannedVector& v) {
    return Tensor::of(base + v.offset, DType::kF32, 1, v.size);
  };
  for (const auto& [name, planned] : plan.weights) {
    Weight weight;
    for (const PlannedPart& part : planned.parts)
      weight.parts.at(static_cast<size_t>(weight.num_parts++)) = {
          .format = part.packed, .rows = part.rows, .cols = part.cols, .data = base + part.offset};
    if (planned.bias.size > 0) weight.bias = vector_at(planned.bias);
    weights_.emplace(name, weight);
  }
  for (const auto& [name, planned] : plan.vectors) vectors_.emplace(name, vector_at(planned));
}

Weight WeightMap::weight(std::string_view name) const {
  const auto it = weights_.find(name);
  CHECK(it != weights_.end(), "the weights table has no {}", name);
  return it->second;
}

Tensor WeightMap::vector(std::string_view name) const {
  const auto it = vectors_.find(name);
  CHECK(it != vectors_.end(), "the weights table has no {}", name);
  return it->second;
}

Tensor WeightMap::vector_or_empty(std::string_view name) const {
  const auto it = vectors_.find(name);
  return it == vectors_.end() ? Tensor{} : it->second;
}

std::string layer_name(std::string_view pattern, int layer) {
  const size_t at = pattern.find("{}");
  if (at == std::string_view::npos) return std::string(pattern);
  return fmt::format("{}{}{}", pattern.substr(0, at), layer, pattern.substr(at + 2));
}

}  // namespace pegainfer

// Weights of a model: a table says which tensors of a checkpoint become which logical weights, a plan checks
// that every tensor is accounted for and says how many bytes they take, a map hands them to the model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/checkpoint.h"
#include "pegainfer/result.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace pegainfer {

enum class WeightRole : uint8_t {
  kMatrix,  // rows of a Weight
  kBias,    // its bias
  kVector,  // a small F32 parameter: a norm
};

// One row of a model's table. "{}" in a name stands for the layer: such a row counts once per layer.
struct WeightSpec {
  std::string_view hf;    // the tensor's name in a Hugging Face checkpoint
  std::string_view gguf;  // in a GGUF file
  std::string_view into;  // the logical weight; matrices (biases) of one name are stacked in table order
  WeightRole role = WeightRole::kMatrix;
  int64_t rows = 0;           // out features; of a bias or vector: its length
  int64_t cols = 0;           // in features; 0 for a bias or vector
  int interleaved_heads = 0;  // > 0: rows of each of so many heads are stored (0, d/2, 1, d/2 + 1, ...)
};

// Where rows of a part or vector come from.
struct WeightSegment {
  const TensorInfo* tensor = nullptr;
  int64_t rows = 0;
  int interleaved_heads = 0;
};

struct PlannedPart {
  WeightFormat stored = WeightFormat::kF32;  // in the checkpoint
  WeightFormat packed = WeightFormat::kF32;  // in memory
  int64_t rows = 0;
  int64_t cols = 0;
  size_t offset = 0;  // bytes from the start of the weights' memory
  std::vector<WeightSegment> segments;
};

struct PlannedVector {
  std::vector<WeightSegment> segments;
  std::vector<float> values;  // given by the caller instead of the checkpoint
  int64_t size = 0;
  size_t offset = 0;
};

struct PlannedWeight {
  std::vector<PlannedPart> parts;
  PlannedVector bias;  // size 0: none
};

struct WeightPlan {
  std::map<std::string, PlannedWeight, std::less<>> weights;
  std::map<std::string, PlannedVector, std::less<>> vectors;
  size_t bytes = 0;               // of memory
  uint64_t checkpoint_bytes = 0;  // to be read

  // A parameter that is computed, not read.
  void add_constant(const std::string& name, std::vector<float> values);
};

// Which arithmetic `--dtype auto` means: float32 for checkpoints in F32 or F16, else bfloat16.
DType default_arithmetic(const TensorSource& tensors);

// Errors name the tensor, what was found and what was expected: missing, surplus, wrong shape, a dtype that
// cannot be used. In BF16 arithmetic F32 and F16 matrices become BF16; everything else stays as stored.
// read_values: a tied head that is stored as well is compared with the embedding, byte by byte; false: in
// shape and dtype alone.
Result<WeightPlan> plan_weights(const std::vector<WeightSpec>& table, const Checkpoint& checkpoint,
                                DType arithmetic, const Backend& backend, bool read_values = true);

class WeightMap {
 public:
  // Views of memory laid out by `plan` at `base`, which may still be unfilled.
  WeightMap(const WeightPlan& plan, std::byte* base);
  [[nodiscard]] Weight weight(std::string_view name) const;  // a CHECK when there is none
  [[nodiscard]] Tensor vector(std::string_view name) const;  // [1, size] F32
  [[nodiscard]] Tensor vector_or_empty(std::string_view name) const;

 private:
  std::map<std::string, Weight, std::less<>> weights_;
  std::map<std::string, Tensor, std::less<>> vectors_;
};

// "layers.{}.qkv" and 3 -> "layers.3.qkv".
std::string layer_name(std::string_view pattern, int layer);

}  // namespace pegainfer

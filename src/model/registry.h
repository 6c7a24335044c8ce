// The architectures this build can run: one table, one line each.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/model_config.h"
#include "model/model.h"
#include "model/weights.h"
#include "pegainfer/result.h"

namespace pegainfer {

struct ModelDefinition {
  Architecture architecture = Architecture::kLlama;
  std::string_view name;  // for messages
  // The tensors a checkpoint of this configuration must have. An error: a combination of configuration fields
  // this architecture does not know.
  Result<std::vector<WeightSpec>> (*weights)(const ModelConfig& config) = nullptr;
  std::unique_ptr<Model> (*create)(const ModelConfig& config, const WeightMap& weights) = nullptr;
};

// An error lists what is supported.
Result<const ModelDefinition*> find_model(const ModelConfig& config);
std::string supported_models();  // "Llama, Mistral, ..."

// The definition's table checked against the checkpoint, with the constants every model needs (RoPE).
// read_values: see plan_weights().
Result<WeightPlan> plan_model(const ModelDefinition& definition, const Checkpoint& checkpoint,
                              DType arithmetic, const Backend& backend, bool read_values = true);

// One per file.
ModelDefinition llama_definition();
ModelDefinition mistral_definition();
ModelDefinition qwen2_definition();
ModelDefinition qwen3_definition();

}  // namespace pegainfer

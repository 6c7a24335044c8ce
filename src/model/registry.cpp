#include "model/registry.h"

#include <fmt/format.h>

#include <array>

#include "model/rope.h"

namespace pegainfer {

namespace {

const std::array<ModelDefinition, 4>& definitions() {
  static const std::array<ModelDefinition, 4> table{
      llama_definition(),
      mistral_definition(),
      qwen2_definition(),
      qwen3_definition(),
  };
  return table;
}

}  // namespace

Result<const ModelDefinition*> find_model(const ModelConfig& config) {
  for (const ModelDefinition& d : definitions())
    if (d.architecture == config.architecture) return &d;
  return unsupported(fmt::format("architecture {} is not supported; supported are {}",
                                 config.architecture_name, supported_models()));
}

std::string supported_models() {
  std::string out;
  for (const ModelDefinition& d : definitions()) out += fmt::format("{}{}", out.empty() ? "" : ", ", d.name);
  return out;
}

Result<WeightPlan> plan_model(const ModelDefinition& definition, const Checkpoint& checkpoint,
                              DType arithmetic, const Backend& backend, bool read_values) {
  ASSIGN_OR_RETURN(const std::vector<WeightSpec> table, definition.weights(*checkpoint.config));
  ASSIGN_OR_RETURN(WeightPlan plan, plan_weights(table, checkpoint, arithmetic, backend, read_values));
  plan.add_constant("rope.inv_freq", compute_rope(*checkpoint.config).inv_freq);
  return plan;
}

}  // namespace pegainfer

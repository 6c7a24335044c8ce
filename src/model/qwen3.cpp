// Qwen3 (dense): each query and key head is RMS-normalised before it is rotated. head_dim is its own number:
// heads x head_dim need not be the hidden size.
#include "model/decoder.h"
#include "model/registry.h"

namespace pegainfer {

namespace {

Result<std::vector<WeightSpec>> weights(const ModelConfig& c) {
  if (!c.qk_norm) return unsupported("Qwen3 normalises queries and keys");
  if (c.mlp_bias) return unsupported("Qwen3 has no bias in its MLP", "mlp_bias");
  return concat({embedding_specs(c), attention_specs(c), qk_norm_specs(c), gated_mlp_specs(c)});
}

}  // namespace

ModelDefinition qwen3_definition() { return {Architecture::kQwen3, "Qwen3", weights, create_decoder}; }

}  // namespace pegainfer

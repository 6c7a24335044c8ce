// Qwen2 and Qwen2.5: Llama with a bias on q, k and v; from some layer on attention may slide.
#include "model/decoder.h"
#include "model/registry.h"

namespace pegainfer {

namespace {

Result<std::vector<WeightSpec>> weights(const ModelConfig& c) {
  if (c.qk_norm) return unsupported("Qwen2 has no normalisation of queries and keys");
  if (!c.attention_bias) return unsupported("Qwen2 has a bias on q, k and v", "attention_bias");
  if (c.attention_output_bias || c.mlp_bias) return unsupported("Qwen2 has biases on q, k and v only");
  return concat({embedding_specs(c), attention_specs(c), gated_mlp_specs(c)});
}

}  // namespace

ModelDefinition qwen2_definition() { return {Architecture::kQwen2, "Qwen2", weights, create_decoder}; }

}  // namespace pegainfer

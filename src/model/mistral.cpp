// Mistral: Llama whose positions may see a sliding window only; no biases.
#include "model/decoder.h"
#include "model/registry.h"

namespace pegainfer {

namespace {

Result<std::vector<WeightSpec>> weights(const ModelConfig& c) {
  if (c.qk_norm) return unsupported("Mistral has no normalisation of queries and keys");
  if (c.attention_bias || c.attention_output_bias || c.mlp_bias) return unsupported("Mistral has no biases");
  return concat({embedding_specs(c), attention_specs(c), gated_mlp_specs(c)});
}

}  // namespace

ModelDefinition mistral_definition() { return {Architecture::kMistral, "Mistral", weights, create_decoder}; }

}  // namespace pegainfer

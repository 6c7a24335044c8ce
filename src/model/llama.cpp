// Llama 2 and 3, SmolLM2 and everything else of LlamaForCausalLM: the plain pre-norm decoder. Biases where
// the configuration says so; the head may be the embedding.
#include "model/decoder.h"
#include "model/registry.h"

namespace pegainfer {

namespace {

Result<std::vector<WeightSpec>> weights(const ModelConfig& c) {
  if (c.qk_norm) return unsupported("Llama has no normalisation of queries and keys");
  if (c.sliding_window > 0) return unsupported("Llama has no sliding window", "sliding_window");
  return concat({embedding_specs(c), attention_specs(c), gated_mlp_specs(c)});
}

}  // namespace

ModelDefinition llama_definition() { return {Architecture::kLlama, "Llama", weights, create_decoder}; }

}  // namespace pegainfer

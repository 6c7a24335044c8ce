// The pre-norm decoder of Llama and its descendants, and the groups of weights it is made of.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "checkpoint/model_config.h"
#include "model/blocks.h"
#include "model/model.h"
#include "model/weights.h"

namespace pegainfer {

struct DecoderLayer {
  AttentionWeights attention;
  GatedMlpWeights mlp;
};

struct DecoderWeights {
  Weight embedding;  // [vocab, hidden]
  std::vector<DecoderLayer> layers;
  Tensor final_norm;  // [1, hidden]
  Weight head;        // [vocab, hidden]; the embedding itself when they are tied
  Rope rope;
};

// The decoder of Llama and its descendants: x += attention(norm(x)); x += mlp(norm(x)). What differs among
// them is in the config (windows, RoPE) and in which weights there are (biases, QK norms).
class DecoderModel final : public Model {
 public:
  DecoderModel(ModelConfig config, DecoderWeights weights)
      : config_(std::move(config)), weights_(std::move(weights)) {}

  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  Tensor forward(Forward& f) const override;
  Tensor logits(Forward& f, Tensor rows) const override;

 private:
  ModelConfig config_;
  DecoderWeights weights_;
};

// Rows of the weights tables, in groups; each is named after what it feeds.
std::vector<WeightSpec> embedding_specs(const ModelConfig& config);  // embedding, final norm, head
std::vector<WeightSpec> attention_specs(const ModelConfig& config);  // norm, q, k, v, o and biases
std::vector<WeightSpec> qk_norm_specs(const ModelConfig& config);
std::vector<WeightSpec> gated_mlp_specs(const ModelConfig& config);  // norm, gate, up, down and biases

std::vector<WeightSpec> concat(const std::vector<std::vector<WeightSpec>>& groups);

// A DecoderModel of what the groups above put into `weights`.
std::unique_ptr<Model> create_decoder(const ModelConfig& config, const WeightMap& weights);

}  // namespace pegainfer

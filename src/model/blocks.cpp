#include "model/blocks.h"

#include <cmath>

namespace pegainfer {

AttentionParams attention_params(const ModelConfig& config, int layer) {
  const auto i = static_cast<size_t>(layer);
  const bool slides = config.layer_uses_window.empty() || config.layer_uses_window.at(i);
  return {.layer = layer,
          .num_heads = config.num_heads,
          .num_kv_heads = config.num_kv_heads,
          .head_dim = config.head_dim,
          .scale = 1.0F / std::sqrt(static_cast<float>(config.head_dim)),
          .window = slides ? config.sliding_window : 0};
}

void attention_block(Forward& f, const ModelConfig& config, int layer, const AttentionWeights& w, Tensor x,
                     Tensor rope_table) {
  const auto scope = f.scope();
  const float eps = config.rms_norm_eps;
  const HeadsView heads = f.split_heads(f.norm_linear(x, w.norm, eps, w.qkv), config.num_heads,
                                        config.num_kv_heads, config.head_dim);
  const QkNormRope qk{.q_norm = w.q_norm, .k_norm = w.k_norm, .eps = eps, .table = rope_table};
  f.linear_add(f.attention(heads, qk, attention_params(config, layer)), w.o, x);
}

void gated_mlp(Forward& f, const ModelConfig& config, const GatedMlpWeights& w, Tensor x) {
  const auto scope = f.scope();
  f.linear_add(f.norm_gated_linear(x, w.norm, config.rms_norm_eps, w.gate_up), w.down, x);
}

}  // namespace pegainfer

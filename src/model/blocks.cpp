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

Tensor attention_block(Forward& f, const ModelConfig& config, int layer, const AttentionWeights& w, Tensor h,
                       Tensor rope_table) {
  const HeadsView heads =
      f.split_heads(f.linear(h, w.qkv), config.num_heads, config.num_kv_heads, config.head_dim);
  f.qk_norm_rope(heads, config.head_dim, w.q_norm, w.k_norm, config.rms_norm_eps, rope_table);
  return f.linear(f.attention(heads, attention_params(config, layer)), w.o);
}

Tensor gated_mlp(Forward& f, const GatedMlpWeights& w, Tensor h) {
  return f.linear(f.silu_mul(f.linear(h, w.gate_up)), w.down);
}

}  // namespace pegainfer

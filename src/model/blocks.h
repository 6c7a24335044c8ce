// Blocks that two or more models share.
#pragma once

#include "checkpoint/model_config.h"
#include "model/forward.h"

namespace pegainfer {

struct AttentionWeights {
  Tensor norm;            // [1, hidden]
  Weight qkv;             // [(heads + 2 kv_heads) * head_dim, hidden]: q, k and v below each other
  Weight o;               // [hidden, heads * head_dim]
  Tensor q_norm, k_norm;  // [1, head_dim], or empty
};

struct GatedMlpWeights {
  Tensor norm;     // [1, hidden]
  Weight gate_up;  // [2 * intermediate, hidden]: gate, then up
  Weight down;     // [hidden, intermediate]
};

AttentionParams attention_params(const ModelConfig& config, int layer);

// x [tokens, hidden], the residual stream: x += attention(norm(x)). rope_table: Forward::rope_table().
void attention_block(Forward& f, const ModelConfig& config, int layer, const AttentionWeights& w, Tensor x,
                     Tensor rope_table);
// x += mlp(norm(x))
void gated_mlp(Forward& f, const ModelConfig& config, const GatedMlpWeights& w, Tensor x);

}  // namespace pegainfer

// Blocks that two or more models share.
#pragma once

#include "checkpoint/model_config.h"
#include "model/forward.h"

namespace pegainfer {

struct AttentionWeights {
  Weight qkv;             // [(heads + 2 kv_heads) * head_dim, hidden]: q, k and v below each other
  Weight o;               // [hidden, heads * head_dim]
  Tensor q_norm, k_norm;  // [1, head_dim], or empty
};

struct GatedMlpWeights {
  Weight gate_up;  // [2 * intermediate, hidden]: gate, then up
  Weight down;     // [hidden, intermediate]
};

AttentionParams attention_params(const ModelConfig& config, int layer);

// h [tokens, hidden] -> [tokens, hidden]. rope_table: Forward::rope_table().
Tensor attention_block(Forward& f, const ModelConfig& config, int layer, const AttentionWeights& w, Tensor h,
                       Tensor rope_table);
Tensor gated_mlp(Forward& f, const GatedMlpWeights& w, Tensor h);

}  // namespace pegainfer

// RoPE frequencies, computed as transformers' modeling_rope_utils does, in F32 where it uses F32.
#pragma once

#include <vector>

#include "checkpoint/model_config.h"

namespace pegainfer {

struct RopeFrequencies {
  std::vector<float> inv_freq;    // [head_dim / 2] radians per position
  float attention_factor = 1.0F;  // multiplies cosines and sines
};

RopeFrequencies compute_rope(const ModelConfig& config);

}  // namespace pegainfer

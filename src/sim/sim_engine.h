// make_sim_engine(): an LlmEngine whose model is a SimExecutor. Everything else is the real thing: scheduler,
// prefix cache, preemption, admission and loop.
#pragma once

#include <memory>

#include "engine/llm_engine.h"
#include "sim/profile.h"

namespace pegainfer::sim {

struct SimEngineOptions {
  SimProfile profile;  // gives num_kv_blocks, block_size, vocab_size, max_model_len
  // Of `engine`, `info` is filled from the profile; its other members stand.
  LlmEngineOptions engine = {};
  int depth = 2;
  // A model for ByteTokenizer: it generates small letters, and any id below the vocabulary's end
  // may be in a prompt. Otherwise the whole vocabulary of the profile.
  bool bytes = true;
  double eos_probability = 0;
};

std::unique_ptr<LlmEngine> make_sim_engine(SimEngineOptions options);

}  // namespace pegainfer::sim

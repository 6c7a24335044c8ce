#include "sim/sim_engine.h"

#include <algorithm>
#include <utility>

#include "sim/sim_clock.h"
#include "sim/sim_executor.h"
#include "tokenizer/byte_tokenizer.h"

namespace pegainfer::sim {

std::unique_ptr<LlmEngine> make_sim_engine(SimEngineOptions options) {
  SimProfile& profile = options.profile;
  SimExecutorOptions executor;
  if (options.bytes) {
    profile.vocab_size = std::max(profile.vocab_size, ByteTokenizer::kVocabSize);
    executor.first_token = 'a';
    executor.num_tokens = 26;
    executor.eos_token_ids = {ByteTokenizer::kEos};
  } else if (options.eos_probability > 0) {
    executor.eos_token_ids = {0};
  }
  EngineInfo& info = options.engine.info;
  if (info.model_name.empty()) info.model_name = "sim-" + profile.name;
  info.architecture = "Simulated";
  info.dtype = "none";
  info.vocab_size = profile.vocab_size;
  info.max_model_len = profile.max_model_len;
  info.num_kv_blocks = profile.num_kv_blocks;
  info.block_size = profile.block_size;
  info.eos_token_ids = executor.eos_token_ids;
  executor.profile = profile;
  executor.eos_probability = options.eos_probability;
  executor.depth = options.depth;
  return std::make_unique<LlmEngine>(
      std::move(options.engine),
      std::make_unique<SimExecutor>(std::move(executor), std::make_shared<RealClock>()));
}

}  // namespace pegainfer::sim

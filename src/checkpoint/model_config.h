// ModelConfig: the facts of a model that decide its arithmetic, from config.json or GGUF metadata. Nothing is
// guessed from sizes; a field that would change the result and is not supported is an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pegainfer/ids.h"

namespace pegainfer {

enum class Architecture : uint8_t { kLlama, kMistral, kQwen2, kQwen3 };  // SmolLM2 is kLlama

enum class RopeType : uint8_t { kDefault, kLinear, kLlama3, kYarn };

// Names and meaning as in transformers' modeling_rope_utils.
struct RopeConfig {
  RopeType type = RopeType::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  double low_freq_factor = 1.0;              // llama3
  double high_freq_factor = 4.0;             // llama3
  int original_max_position_embeddings = 0;  // llama3, yarn; 0: max_position_embeddings
  double beta_fast = 32.0;                   // yarn
  double beta_slow = 1.0;                    // yarn
  std::optional<double> attention_factor;    // yarn
  std::optional<double> mscale;              // yarn
  std::optional<double> mscale_all_dim;      // yarn
  bool truncate = true;                      // yarn: whether correction range is rounded to whole dimensions
  std::vector<float> freq_factors;  // GGUF rope_freqs.weight: inv_freq[i] / freq_factors[i]; empty: none
};

struct ModelConfig {
  Architecture architecture = Architecture::kLlama;
  std::string architecture_name;  // as the checkpoint spells it: "Qwen3ForCausalLM", "llama"
  int hidden_size = 0;
  int num_layers = 0;
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  int intermediate_size = 0;
  int vocab_size = 0;  // rows of the embedding, width of the logits
  int max_position_embeddings = 0;
  float rms_norm_eps = 1e-6F;
  RopeConfig rope;
  bool tie_word_embeddings = false;
  bool attention_bias = false;         // on q, k, v
  bool attention_output_bias = false;  // on o
  bool mlp_bias = false;
  bool qk_norm = false;
  int sliding_window = 0;               // 0: none
  std::vector<bool> layer_uses_window;  // [num_layers] when only some layers slide (Qwen2 max_window_layers,
                                        // layer_types); empty: all
  std::string torch_dtype;  // "bfloat16", "float16", "float32", "" when the checkpoint does not say
  bool gguf_rope_permuted =
      false;  // GGUF `llama`: q and k rows are in the interleaved order and must be put back
  std::vector<TokenId>
      eos_token_ids;  // of config.json / GGUF metadata; the EOS set is a union, see GenerationDefaults
  std::vector<TokenId> bos_token_ids;
};

// generation_config.json: what the model's authors recommend. Empty: not said.
struct GenerationDefaults {
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<double> min_p;
  std::optional<int> top_k;
  std::optional<double> repetition_penalty;
  std::optional<bool> do_sample;
  std::vector<TokenId> eos_token_ids;
};

}  // namespace pegainfer

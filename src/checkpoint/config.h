// ModelConfig and its companions out of a checkpoint's own words: config.json, generation_config.json,
// tokenizer_config.json, or GGUF metadata.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/gguf.h"
#include "checkpoint/model_config.h"
#include "checkpoint/tensor_source.h"
#include "pegainfer/result.h"
#include "tokenizer/gguf_vocab.h"

namespace pegainfer {

// "Qwen3ForCausalLM, ...": what config.json may name.
std::string supported_architectures();

// config.json, in the schema of transformers 4 (rope_theta, rope_scaling, torch_dtype) or 5 (rope_parameters,
// dtype). What is missing has the default of transformers' configuration classes. `path` is for messages.
Result<ModelConfig> parse_hf_config(std::string_view json_text, const std::string& path);

Result<GenerationDefaults> parse_generation_config(std::string_view json_text, const std::string& path);

// tokenizer_config.json, as far as it is not the tokenizer's own business.
struct TokenizerFacts {
  std::string eos_token;                // "" when not said
  std::optional<TokenId> eos_token_id;  // when added_tokens_decoder knows the token
  std::string chat_template;
  std::string tool_template;                          // for requests with tools; "": none of its own
  std::map<std::string, std::string> special_tokens;  // bos_token, eos_token, ... that are set
};
Result<TokenizerFacts> parse_tokenizer_config(std::string_view json_text, const std::string& path);
// The id that tokenizer.json's added_tokens gives to `token`.
Result<std::optional<TokenId>> find_added_token(std::string_view tokenizer_json, const std::string& path,
                                                std::string_view token);

// GGUF: biases and tied heads show in the presence of tensors only, since the format has no fields for them.
Result<ModelConfig> parse_gguf_config(const GgufMetadata& metadata, const TensorSource& tensors);
Result<GenerationDefaults> parse_gguf_generation(const GgufMetadata& metadata);
// Moves the vocabulary out of `metadata`.
Result<GgufVocab> take_gguf_vocab(GgufMetadata& metadata);

// Sanity that holds for every source: positive, divisible, within what the engine can index. `path` is for
// messages.
Status validate_config(const ModelConfig& config, const std::string& path);

}  // namespace pegainfer

// Checkpoint: a model on disk, opened and validated. A Hugging Face directory (config.json, *.safetensors) or
// a GGUF file.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/model_config.h"
#include "checkpoint/tensor_source.h"
#include "pegainfer/result.h"
#include "tokenizer/gguf_vocab.h"

namespace pegainfer {

enum class CheckpointKind : uint8_t { kHuggingFace, kGguf };

// `name` as a user gives it: a path (file or directory) or a hub name (`org/name[@revision]`, looked up
// offline in the Hugging Face cache: HF_HUB_CACHE, HF_HOME/hub, XDG_CACHE_HOME/huggingface/hub,
// ~/.cache/huggingface/hub). Gives an existing path; an error says where was looked.
Result<std::string> resolve_model_path(const std::string& name);

struct CheckpointOptions {
  bool need_weights = true;  // false: the tokenizer's files suffice
  bool list_only = false;    // true: tensors of types that cannot be computed with are no error
  // true: config.json suffices. No weights are looked at, and a tokenizer is taken when there is one.
  bool config_only = false;
};

class Checkpoint {
 public:
  // A directory, a .gguf file, or a directory that holds just one .gguf file; with config_only a directory
  // that has config.json.
  static Result<Checkpoint> open(const std::string& path, const CheckpointOptions& options);

  CheckpointKind kind = CheckpointKind::kHuggingFace;
  std::string path;  // what was opened
  std::string directory;
  std::optional<ModelConfig>
      config;  // empty only when need_weights is false and there is none or it is broken
  GenerationDefaults generation;
  std::unique_ptr<TensorSource> tensors;              // null when need_weights is false, or config_only
  std::optional<GgufVocab> gguf_vocab;                // kGguf
  std::string tokenizer_json_path;                    // kHuggingFace: "" when missing
  std::string tokenizer_config_path;                  // kHuggingFace: "" when missing
  std::string chat_template;                          // "" when there is none; not yet rendered by anyone
  std::string tool_template;                          // the one for requests with tools; "": none of its own
  std::map<std::string, std::string> special_tokens;  // bos_token, eos_token, ...: what templates call them
  // What the model ends with: generation_config, config and tokenizer EOS together, sorted, without repeats.
  std::vector<TokenId> eos_token_ids;
};

}  // namespace pegainfer

#include "engine/load_tokenizer.h"

#include <fmt/core.h>

#include "tokenizer/tokenizer_loader.h"

namespace pegainfer {

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const Checkpoint& checkpoint) {
  if (checkpoint.gguf_vocab) return make_tokenizer(*checkpoint.gguf_vocab);
  if (checkpoint.tokenizer_json_path.empty())
    return not_found(fmt::format("{} has no tokenizer.json", checkpoint.path));
  return load_tokenizer_json(checkpoint.tokenizer_json_path, checkpoint.tokenizer_config_path);
}

}  // namespace pegainfer

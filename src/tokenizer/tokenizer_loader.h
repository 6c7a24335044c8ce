// Tokenizers from Hugging Face's tokenizer.json and from GGUF metadata. Whatever in them would change the
// result and is not supported is an error that names it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"
#include "tokenizer/gguf_vocab.h"

namespace pegainfer {

// `tokenizer_config_path` may be "": else its added_tokens_decoder is added as transformers does it.
// Decided: the truncation and padding that tokenizer.json may ask for are not applied (a server cuts no
// prompt in silence), and neither is clean_up_tokenization_spaces of the config: it would make decoded text
// differ from the sum of its streamed pieces.
Result<std::shared_ptr<const Tokenizer>> load_tokenizer_json(const std::string& path,
                                                             const std::string& tokenizer_config_path);
Result<std::shared_ptr<const Tokenizer>> load_tokenizer_json_text(std::string_view json);

Result<std::shared_ptr<const Tokenizer>> make_tokenizer(const GgufVocab& vocab);

}  // namespace pegainfer

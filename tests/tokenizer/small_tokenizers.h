// Tokenizers small enough to be written out in a test.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/tokenizer.h"
#include "tokenizer/gguf_vocab.h"

namespace pegainfer::testing {

// A byte-level tokenizer.json with all 256 bytes, the words "the", " the", "ing", " world" built by merges,
// Qwen's pattern, NFC, two special tokens and <think>, which is not special.
std::string byte_level_json();
// SentencePiece style: Prepend, Replace, byte fallback, BOS by template.
std::string sentencepiece_json();
// The loaded tokenizer; fails the test when it cannot be loaded.
std::shared_ptr<const Tokenizer> load(std::string_view json);
// The tokens of byte_level_json() as GGUF has them.
GgufVocab byte_level_gguf(std::string pre);

std::vector<TokenId> encode(const Tokenizer& tokenizer, std::string_view text, bool add_special = false);

}  // namespace pegainfer::testing

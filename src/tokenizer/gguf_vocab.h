// The tokenizer part of GGUF metadata (tokenizer.ggml.*), so that this folder needs to know no file format.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pegainfer/ids.h"

namespace pegainfer {

struct GgufVocab {
  std::string model;  // tokenizer.ggml.model: "gpt2" (byte-level BPE) or "llama" (SentencePiece)
  std::string pre;    // tokenizer.ggml.pre, "" when missing
  std::vector<std::string> tokens;  // by id
  std::vector<float> scores;        // [tokens] or empty
  std::vector<int32_t>
      token_types;  // [tokens] or empty: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte
  std::vector<std::string> merges;  // "a b", in rank order
  std::optional<TokenId> bos_id, eos_id, unk_id, pad_id;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
};

}  // namespace pegainfer

// A tokenizer.json with one token per byte, ids 0..255, and special tokens after them: enough for a model
// directory that can be served.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace pegainfer::testing {

// The character that stands for a byte in byte-level vocabularies, as JSON text.
inline std::string byte_level_char(int byte) {
  const auto printable = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
  int code = byte;
  if (!printable(byte)) {
    code = 256;
    for (int b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
  }
  return fmt::format("\\u{:04x}", code);
}

inline std::string byte_tokenizer_json(const std::vector<std::string>& specials) {
  std::string vocab;
  for (int b = 0; b < 256; ++b)
    vocab += fmt::format("{}\"{}\": {}", b == 0 ? "" : ", ", byte_level_char(b), b);
  std::string added;
  for (size_t i = 0; i < specials.size(); ++i)
    added += fmt::format(R"({}{{"id": {}, "content": "{}", "single_word": false, "lstrip": false,
"rstrip": false, "normalized": false, "special": true}})",
                         i == 0 ? "" : ", ", 256 + i, specials[i]);
  return fmt::format(R"({{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [{}],
"normalizer": null,
"pre_tokenizer": {{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}},
"post_processor": {{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true}},
"decoder": {{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}},
"model": {{"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
"end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": {{{}}}, "merges": []}}}}
)",
                     added, vocab);
}

inline void write_byte_tokenizer(const std::filesystem::path& directory,
                                 const std::vector<std::string>& specials) {
  std::ofstream(directory / "tokenizer.json") << byte_tokenizer_json(specials);
}

}  // namespace pegainfer::testing

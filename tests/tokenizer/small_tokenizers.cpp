#include "tokenizer/small_tokenizers.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/tokenizer_loader.h"

namespace pegainfer::testing {
namespace {

constexpr std::string_view kMerges[][2] = {{"t", "h"}, {"th", "e"}, {"Ġ", "the"}, {"i", "n"}, {"in", "g"},
                                           {"Ġ", "w"}, {"o", "r"},  {"Ġw", "or"}, {"l", "d"}, {"Ġwor", "ld"},
                                           {"Ã", "©"}, {"Ġ", "Ġ"},  {"ĠĠ", "ĠĠ"}, {"a", "a"}, {"aa", "aa"}};

std::vector<std::string> tokens() {
  std::vector<std::string> all;
  for (int b = 0; b < 256; ++b) all.push_back(bytes_to_alphabet(std::string(1, static_cast<char>(b))));
  for (const auto& merge : kMerges) all.push_back(std::string(merge[0]) + std::string(merge[1]));
  return all;
}

}  // namespace

std::string byte_level_json() {
  std::string vocab;
  const std::vector<std::string> all = tokens();
  for (size_t i = 0; i < all.size(); ++i)
    vocab += fmt::format("{}{}:{}", i == 0 ? "" : ",", json::quote(all[i]), i);
  std::string merges;
  for (const auto& m : kMerges)
    merges += fmt::format("{}[{},{}]", merges.empty() ? "" : ",", json::quote(m[0]), json::quote(m[1]));
  const size_t n = all.size();
  const auto added = [](size_t id, std::string_view content, bool special) {
    return fmt::format(
        R"({{"id":{},"content":"{}","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":{}}})",
        id, content, special);
  };
  return fmt::format(
      R"({{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{},{},{}],"normalizer":{{"type":"NFC"}},)"
      R"("pre_tokenizer":{{"type":"Sequence","pretokenizers":[{{"type":"Split","pattern":{{"Regex":"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|\\p{{N}}| ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},"behavior":"Isolated","invert":false}},)"
      R"({{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}}]}},)"
      R"("post_processor":{{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}},)"
      R"("decoder":{{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":false,"use_regex":false}},)"
      R"("model":{{"type":"BPE","dropout":null,"unk_token":null,"continuing_subword_prefix":"","end_of_word_suffix":"","fuse_unk":false,"byte_fallback":false,"vocab":{{{}}},"merges":[{}]}}}})",
      added(n, "<|endoftext|>", true), added(n + 1, "<|im_start|>", true), added(n + 2, "<think>", false),
      vocab, merges);
}

std::string sentencepiece_json() {
  std::string vocab = R"("<unk>":0,"<s>":1,"</s>":2)";
  for (int b = 0; b < 256; ++b) vocab += fmt::format(R"(,"<0x{:02X}>":{})", b, b + 3);
  int id = 259;
  for (const char* token : {"▁", "a", "b", "▁a", "ab", "▁ab", "▁▁", "é"})
    vocab += fmt::format(",\"{}\":{}", token, id++);
  return fmt::format(
      R"({{"version":"1.0","added_tokens":[)"
      R"({{"id":0,"content":"<unk>","special":true,"normalized":false}},{{"id":1,"content":"<s>","special":true,"normalized":false}},)"
      R"({{"id":2,"content":"</s>","special":true,"normalized":false}}],)"
      R"("normalizer":{{"type":"Sequence","normalizers":[{{"type":"Prepend","prepend":"▁"}},{{"type":"Replace","pattern":{{"String":" "}},"content":"▁"}}]}},)"
      R"("pre_tokenizer":null,)"
      R"("post_processor":{{"type":"TemplateProcessing","single":[{{"SpecialToken":{{"id":"<s>","type_id":0}}}},{{"Sequence":{{"id":"A","type_id":0}}}}],"pair":[],"special_tokens":{{"<s>":{{"id":"<s>","ids":[1],"tokens":["<s>"]}}}}}},)"
      R"("decoder":{{"type":"Sequence","decoders":[{{"type":"Replace","pattern":{{"String":"▁"}},"content":" "}},{{"type":"ByteFallback"}},{{"type":"Fuse"}},{{"type":"Strip","content":" ","start":1,"stop":0}}]}},)"
      R"("model":{{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"byte_fallback":true,"vocab":{{{}}},"merges":["▁ ▁","a b","▁ a","▁ ab"]}}}})",
      vocab);
}

std::shared_ptr<const Tokenizer> load(std::string_view json) {
  auto tokenizer = load_tokenizer_json_text(json);
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    std::abort();
  }
  return *std::move(tokenizer);
}

GgufVocab byte_level_gguf(std::string pre) {
  GgufVocab vocab;
  vocab.model = "gpt2";
  vocab.pre = std::move(pre);
  vocab.tokens = tokens();
  vocab.token_types.assign(vocab.tokens.size(), 1);
  for (const auto& m : kMerges) vocab.merges.push_back(std::string(m[0]) + " " + std::string(m[1]));
  vocab.tokens.insert(vocab.tokens.end(), {"<|endoftext|>", "<think>"});
  vocab.token_types.insert(vocab.token_types.end(), {3, 4});
  return vocab;
}

std::vector<TokenId> encode(const Tokenizer& tokenizer, std::string_view text, bool add_special) {
  return tokenizer.encode(text, {.add_special_tokens = add_special});
}

}  // namespace pegainfer::testing

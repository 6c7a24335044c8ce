#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "tokenizer/small_tokenizers.h"
#include "tokenizer/tokenizer_loader.h"

namespace pegainfer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// byte_level_json() or sentencepiece_json() with the first `from` replaced.
std::string edited(std::string json, std::string_view from, std::string_view to) {
  const size_t at = json.find(from);
  if (at == std::string::npos) {
    ADD_FAILURE() << "no " << from;
    return json;
  }
  return json.replace(at, from.size(), to);
}

std::string error_of(std::string_view json) {
  auto t = load_tokenizer_json_text(json);
  return t ? "" : t.error().message;
}
std::string byte_error(std::string_view from, std::string_view to) {
  return error_of(edited(testing::byte_level_json(), from, to));
}
std::string sentencepiece_error(std::string_view from, std::string_view to) {
  return error_of(edited(testing::sentencepiece_json(), from, to));
}

TEST(Loader, WhatIsNotSupportedIsNamed) {
  EXPECT_THAT(byte_error(R"("type":"BPE")", R"("type":"Unigram")"),
              AllOf(HasSubstr("model.type"), HasSubstr("Unigram"), HasSubstr("BPE")));
  EXPECT_THAT(byte_error(R"({"type":"NFC"})", R"({"type":"Precompiled"})"),
              AllOf(HasSubstr("normalizer.type"), HasSubstr("Precompiled")));
  EXPECT_THAT(
      byte_error(R"({"type":"NFC"})", R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Nmt"}]})"),
      AllOf(HasSubstr("normalizer.normalizers[1].type"), HasSubstr("Nmt")));
  EXPECT_THAT(byte_error(R"({"type":"ByteLevel")", R"({"type":"UnicodeScripts")"),
              AllOf(HasSubstr("pre_tokenizer.pretokenizers[1].type"), HasSubstr("UnicodeScripts")));
  EXPECT_THAT(
      byte_error(R"("post_processor":{"type":"ByteLevel")", R"("post_processor":{"type":"BertProcessing")"),
      AllOf(HasSubstr("post_processor.type"), HasSubstr("BertProcessing")));
  EXPECT_THAT(byte_error(R"("decoder":{"type":"ByteLevel")", R"("decoder":{"type":"WordPiece")"),
              HasSubstr("WordPiece"));
  EXPECT_THAT(byte_error(R"("dropout":null)", R"("dropout":0.1)"), HasSubstr("dropout"));
  EXPECT_THAT(byte_error(R"("end_of_word_suffix":"")", R"("end_of_word_suffix":"</w>")"),
              HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(byte_error(R"("version":"1.0")", R"("version":"2.0")"), HasSubstr("version"));
  EXPECT_THAT(sentencepiece_error(R"("id":"A")", R"("id":"B")"), HasSubstr("single[1].Sequence.id"));
}

TEST(Loader, MalformedFiles) {
  EXPECT_THAT(error_of(""), HasSubstr("invalid JSON"));
  EXPECT_THAT(error_of("[]"), HasSubstr("an object"));
  EXPECT_THAT(error_of("{}"), HasSubstr("model is missing"));
  EXPECT_THAT(error_of(R"({"model":3})"), HasSubstr("model is an integer"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","merges":[]}})"), HasSubstr("model.vocab"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{}}})"), HasSubstr("model.merges"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":-1},"merges":[]}})"),
              HasSubstr("vocab[\"a\"]"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":4000000000},"merges":[]}})"),
              HasSubstr("vocab[\"a\"]"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":"b"},"merges":[]}})"),
              HasSubstr("vocab[\"a\"]"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a b"]}})"),
              AllOf(HasSubstr("merges[0]"), HasSubstr("\"b\"")));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["a a"]}})"), HasSubstr("\"aa\""));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":["aa"]}})"),
              HasSubstr("two tokens"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[["a","a","a"]]}})"),
              HasSubstr("two tokens"));
  EXPECT_THAT(error_of(R"({"model":{"type":"BPE","vocab":{"a":0},"merges":[7]}})"), HasSubstr("merges[0]"));
  EXPECT_THAT(byte_error(R"("behavior":"Isolated")", R"("behavior":"Shredded")"),
              HasSubstr("pretokenizers[0].behavior"));
  EXPECT_THAT(byte_error("(?i:'s", "((?i:'s"), HasSubstr("regular expression"));
  EXPECT_THAT(byte_error(R"("content":"<think>")", R"("content":7)"), HasSubstr("added_tokens[2]"));
  EXPECT_THAT(byte_error(R"({"id":)", R"({"idx":)"), HasSubstr("added_tokens[0]"));
  EXPECT_THAT(sentencepiece_error(R"("special_tokens":{"<s>")", R"("special_tokens":{"<x>")"),
              HasSubstr("not in special_tokens"));
  EXPECT_THAT(sentencepiece_error(R"("ids":[1])", R"("ids":[-1])"), HasSubstr("token id"));
  EXPECT_THAT(sentencepiece_error(R"("start":1)", R"("start":-1)"), HasSubstr("start"));
  EXPECT_THAT(sentencepiece_error(R"("pattern":{"String":" "})", R"("pattern":{"Strong":" "})"),
              HasSubstr("pattern"));
}

TEST(Loader, BothFormsOfMerges) {
  const auto t = testing::load(
      R"({"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2,"abb":3},"merges":["#version: 0.2","a b",["ab","b"]]}})");
  EXPECT_EQ(testing::encode(*t, "abb"), std::vector<TokenId>{3});
}

TEST(Loader, IgnoreMergesTakesAPieceThatIsAToken) {
  const std::string json =
      R"({"model":{"type":"BPE","ignore_merges":true,"vocab":{"a":0,"b":1,"ab":2,"aba":3},"merges":["a b"]}})";
  EXPECT_EQ(testing::encode(*testing::load(json), "aba"), std::vector<TokenId>{3});
  EXPECT_EQ(testing::encode(*testing::load(edited(json, "true", "false")), "aba"),
            (std::vector<TokenId>{2, 0}));
}

TEST(Loader, UnknownCharacters) {
  const std::string json =
      R"({"model":{"type":"BPE","unk_token":"?","fuse_unk":true,"vocab":{"?":0,"a":1},"merges":[]}})";
  EXPECT_EQ(testing::encode(*testing::load(json), "xxa日"), (std::vector<TokenId>{0, 1, 0}));
  EXPECT_EQ(testing::encode(*testing::load(edited(json, "true", "false")), "xxa日"),
            (std::vector<TokenId>{0, 0, 1, 0}));
  EXPECT_EQ(testing::encode(*testing::load(edited(json, "\"?\",", "null,")), "xxa日"),
            std::vector<TokenId>{1});
}

TEST(Loader, AddedTokensGetTheirIdsAsInTokenizers) {
  // A known content keeps the model's id; a new one gets the next, whatever the file says.
  const auto t = testing::load(
      R"({"added_tokens":[{"id":9,"content":"b","special":true},{"id":50,"content":"<x>"}],"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}})");
  EXPECT_EQ(t->token_to_id("b"), 1);
  EXPECT_EQ(t->token_to_id("<x>"), 2);
  EXPECT_TRUE(t->is_special(1));
}

TEST(Loader, FilesAndTheConfigBesideThem) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "pega_tokenizer_loader";
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, std::string_view text) {
    std::ofstream(folder / name, std::ios::binary) << text;
    return (folder / name).string();
  };
  const std::string path = write("tokenizer.json", testing::byte_level_json());
  const std::string config = write(
      "tokenizer_config.json",
      R"({"added_tokens_decoder":{"274":{"content":"<extra>","special":true},"273":{"content":"<think>","special":true}}})");
  auto plain = load_tokenizer_json(path, "");
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ((*plain)->token_to_id("<extra>"), -1);
  auto both = load_tokenizer_json(path, config);
  ASSERT_TRUE(both) << both.error().message;
  EXPECT_EQ((*both)->token_to_id("<extra>"), 274);
  EXPECT_TRUE((*both)->is_special((*both)->token_to_id("<think>")));  // the config's flags win
  EXPECT_THAT(load_tokenizer_json((folder / "none.json").string(), "").error().message,
              HasSubstr("none.json"));
  EXPECT_THAT(load_tokenizer_json(folder.string(), "").error().message, HasSubstr("directory"));
  const std::string broken = write("broken.json", R"({"added_tokens_decoder":{"x":{}}})");
  EXPECT_THAT(load_tokenizer_json(path, broken).error().message, HasSubstr("added_tokens_decoder[\"x\"]"));
  std::filesystem::remove_all(folder);
}

// Flipped bytes and cut ends: an error or a tokenizer that works, never a crash.
TEST(Loader, DamagedFilesNeverCrash) {
  std::mt19937 rng(11);
  for (const std::string& good : {testing::byte_level_json(), testing::sentencepiece_json()}) {
    for (int i = 0; i < 1500; ++i) {
      std::string bad = good;
      for (unsigned k = rng() % 4; k > 0; --k) bad[rng() % bad.size()] = static_cast<char>(rng());
      // Structure is more telling than noise: exchange a digit or a bracket as well.
      const char* const interesting = "0123456789{}[]\",:-nt";
      bad[rng() % bad.size()] = interesting[rng() % 20];
      if (i % 10 == 0) bad.resize(rng() % bad.size());
      auto t = load_tokenizer_json_text(bad);
      if (!t) {
        ASSERT_EQ(t.error().message.find('\n'), std::string::npos);
        continue;
      }
      const std::vector<TokenId> ids = testing::encode(**t, "the <think> 日 world <s> ab  ba\xCC\x81", true);
      (void)(*t)->decode(ids, true);
      for (TokenId id = -1; id <= std::min((*t)->vocab_size(), 400); ++id) (void)(*t)->token_text(id);
    }
  }
}

}  // namespace
}  // namespace pegainfer

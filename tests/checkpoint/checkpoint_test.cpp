// Checkpoint::open on folders: which files count, what is refused, and the facts that several files say.
#include "checkpoint/checkpoint.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <map>
#include <random>

#include "support/checkpoint_files.h"

namespace pegainfer {
namespace {

using ::testing::AllOf;
using testing::counting_tensor;
using ::testing::ElementsAre;
using testing::Folder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::safetensors_bytes;
using testing::tiny_llama_gguf;

constexpr std::string_view kConfig = R"({"architectures":["LlamaForCausalLM"],"hidden_size":8,
    "num_attention_heads":2,"num_hidden_layers":1,"intermediate_size":16,"vocab_size":32,"eos_token_id":3})";

std::string weights() { return safetensors_bytes({counting_tensor("model.norm.weight", {8})}); }

void write_hf(const Folder& folder) {
  folder.write("config.json", kConfig);
  folder.write("model.safetensors", weights());
}

Result<Checkpoint> open(const Folder& folder, bool need_weights = true) {
  return Checkpoint::open(folder.path().string(), {.need_weights = need_weights});
}
std::string error_of(const Result<Checkpoint>& c) { return c ? std::string("opened") : c.error().message; }

TEST(Checkpoint, OpensAFolder) {
  const Folder folder;
  write_hf(folder);
  folder.write("tokenizer.json", "{}");
  folder.write("tokenizer_config.json", "{}");
  const auto c = open(folder);
  ASSERT_TRUE(c.has_value()) << error_of(c);
  EXPECT_EQ(c->kind, CheckpointKind::kHuggingFace);
  EXPECT_EQ(c->config->hidden_size, 8);
  EXPECT_EQ(c->tokenizer_json_path, folder.at("tokenizer.json"));
  EXPECT_EQ(c->tokenizer_config_path, folder.at("tokenizer_config.json"));
  EXPECT_NE(c->tensors->find("model.norm.weight"), nullptr);
  EXPECT_FALSE(c->gguf_vocab.has_value());
}

TEST(Checkpoint, FollowsTheLinksOfTheHubCache) {
  const Folder blobs, snapshot;
  const auto link = [&](const std::string& name, std::string_view bytes) {
    std::filesystem::create_symlink(blobs.write(name + ".blob", bytes), snapshot.path() / name);
  };
  link("config.json", kConfig);
  link("model.safetensors", weights());
  EXPECT_TRUE(open(snapshot).has_value());
}

TEST(Checkpoint, OneFileGoesBeforeTheIndexAndSafetensorsBeforeGguf) {
  const Folder folder;
  write_hf(folder);
  folder.write("model.safetensors.index.json", "broken");
  folder.write("m.gguf", "broken");
  EXPECT_TRUE(open(folder).has_value());
}

TEST(Checkpoint, AFolderWithOneGgufFileIsThatFile) {
  const Folder folder;
  folder.write("README.md", "x");
  folder.write("m.gguf", tiny_llama_gguf().bytes());
  const auto c = open(folder);
  ASSERT_TRUE(c.has_value()) << error_of(c);
  EXPECT_EQ(c->kind, CheckpointKind::kGguf);
  folder.write("n.gguf", tiny_llama_gguf().bytes());
  EXPECT_THAT(error_of(open(folder)), HasSubstr("holds 2 GGUF files (m.gguf, n.gguf); name one of them"));
  EXPECT_TRUE(Checkpoint::open(folder.at("n.gguf"), {}).has_value());
}

TEST(Checkpoint, AGgufFileNeedsNoExtension) {
  const Folder folder;  // as the blobs of a cache
  EXPECT_TRUE(Checkpoint::open(folder.write("blob", tiny_llama_gguf().bytes()), {}).has_value());
  EXPECT_THAT(error_of(Checkpoint::open(folder.write("other", "no"), {})), HasSubstr("not a GGUF file"));
}

TEST(Checkpoint, PickleWeightsAreRefusedByName) {
  for (const std::string name : {"pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt",
                                 "consolidated.00.pth", "model.pkl", "last.ckpt"}) {
    const Folder folder;
    folder.write("config.json", kConfig);
    const std::string path = folder.write(name, "x");
    for (const auto& c : {open(folder), Checkpoint::open(path, {})}) {
      ASSERT_FALSE(c.has_value());
      EXPECT_EQ(c.error().code, Code::kUnsupported);
      EXPECT_THAT(c.error().message, AllOf(HasSubstr(name), HasSubstr("pickle"), HasSubstr("safetensors")));
    }
    folder.write("model.safetensors", weights());
    EXPECT_TRUE(open(folder).has_value());  // beside real weights they do not matter
  }
}

TEST(Checkpoint, WhatIsMissingIsNamed) {
  const Folder folder;
  EXPECT_THAT(error_of(Checkpoint::open(folder.at("nothing"), {})), HasSubstr("no such file or directory"));
  EXPECT_THAT(error_of(open(folder)), AllOf(HasSubstr("no weights"), HasSubstr(folder.path().string())));
  folder.write("config.json", kConfig);
  EXPECT_THAT(error_of(open(folder)), HasSubstr("no weights"));
  folder.write("other.safetensors", weights());
  EXPECT_THAT(error_of(open(folder)), HasSubstr("holds other.safetensors, but neither model.safetensors"));
  const Folder bare;
  const std::string file = bare.write("model.safetensors", weights());
  EXPECT_THAT(error_of(open(bare)), HasSubstr("no config.json"));
  EXPECT_THAT(error_of(Checkpoint::open(file, {})), HasSubstr("config.json"));
}

TEST(Checkpoint, FoldersInPlaceOfFilesAndEmptyFiles) {
  for (const std::string name : {"model.safetensors", "config.json", "generation_config.json",
                                 "tokenizer_config.json", "chat_template.jinja"}) {
    const Folder folder;
    write_hf(folder);
    std::filesystem::remove(folder.at(name));
    std::filesystem::create_directories(folder.at(name));
    EXPECT_THAT(error_of(open(folder)), AllOf(HasSubstr(name), HasSubstr("is a directory"))) << name;
    if (name == "chat_template.jinja") continue;  // an empty template is one
    std::filesystem::remove(folder.at(name));
    folder.write(name, "");
    EXPECT_THAT(error_of(open(folder)), HasSubstr(name)) << name;
  }
  const Folder folder;
  std::filesystem::create_directories(folder.at("m.gguf"));
  EXPECT_FALSE(open(folder).has_value());
  EXPECT_FALSE(Checkpoint::open(folder.write("e.gguf", ""), {}).has_value());
}

TEST(Checkpoint, TooLargeTextFilesAreRefusedUnread) {
  const Folder folder;
  write_hf(folder);
  const std::string path = folder.write("config.json", "");
  std::filesystem::resize_file(path, uint64_t{1} << 40);  // sparse
  EXPECT_THAT(error_of(open(folder)), AllOf(HasSubstr("config.json"), HasSubstr("1099511627776 bytes")));
}

TEST(Checkpoint, TypesThatCannotBeComputedWithNameTensorAndType) {
  const Folder folder;
  write_hf(folder);
  folder.write("model.safetensors", safetensors_bytes({{"w", "F8_E4M3", {4}, "xxxx"}}));
  EXPECT_THAT(error_of(open(folder)),
              HasSubstr("tensor \"w\" is of type F8_E4M3, supported are F32 F16 BF16"));
  EXPECT_TRUE(Checkpoint::open(folder.path().string(), {.list_only = true}).has_value());
}

// ---------- the EOS set ----------

TEST(CheckpointEos, IsTheUnionOfWhatTheFilesSay) {
  const Folder folder;
  write_hf(folder);
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(3));
  folder.write("generation_config.json", R"({"eos_token_id":[9,3,5]})");
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(3, 5, 9));
  folder.write("tokenizer_config.json",
               R"({"eos_token":{"content":"<e>"},"added_tokens_decoder":{"4":{"content":"<e>"}}})");
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(3, 4, 5, 9));
  // Newer files leave the ids to tokenizer.json.
  folder.write("tokenizer_config.json", R"({"eos_token":"<e>"})");
  folder.write("tokenizer.json", R"({"added_tokens":[{"id":8,"content":"<e>"}]})");
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(3, 5, 8, 9));
  folder.write("tokenizer_config.json", "{}");
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(3, 5, 9));
  folder.write("special_tokens_map.json", R"({"eos_token":{"content":"<e>"}})");
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(3, 5, 8, 9));
}

TEST(CheckpointEos, IdsPastTheVocabularyCannotBeGenerated) {
  const Folder folder;
  write_hf(folder);
  folder.write("generation_config.json", R"({"eos_token_id":[32,31,4000]})");
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(3, 31));
}

TEST(CheckpointEos, LlamaEndsWithTwoWhenNothingSaysOtherwise) {
  const Folder folder;
  write_hf(folder);
  std::string config(kConfig);
  config.replace(config.find(",\"eos_token_id\":3"), std::strlen(",\"eos_token_id\":3"), "");
  folder.write("config.json", config);
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(2));
  folder.write("generation_config.json", R"({"eos_token_id":6})");
  EXPECT_THAT(open(folder)->eos_token_ids, ElementsAre(6));
}

// ---------- the chat template ----------

TEST(CheckpointTemplate, TheFileGoesBeforeTheField) {
  const Folder folder;
  write_hf(folder);
  EXPECT_EQ(open(folder)->chat_template, "");
  folder.write("tokenizer_config.json", R"({"chat_template":"field"})");
  EXPECT_EQ(open(folder)->chat_template, "field");
  folder.write("chat_template.jinja", "file");
  EXPECT_EQ(open(folder)->chat_template, "file");
}

TEST(CheckpointTemplate, OneOfItsOwnForTools) {
  const Folder folder;
  write_hf(folder);
  folder.write("tokenizer_config.json",
               R"({"chat_template":[{"name":"default","template":"d"},{"name":"tool_use","template":"t"}]})");
  EXPECT_EQ(open(folder)->chat_template, "d");
  EXPECT_EQ(open(folder)->tool_template, "t");
  folder.write("chat_template.jinja", "file");  // goes before all of the field
  EXPECT_EQ(open(folder)->tool_template, "");
  std::filesystem::create_directory(folder.at("additional_chat_templates"));
  folder.write("additional_chat_templates/tool_use.jinja", "more");
  EXPECT_EQ(open(folder)->chat_template, "file");
  EXPECT_EQ(open(folder)->tool_template, "more");
}

TEST(CheckpointTemplate, SpecialTokensByTheirNames) {
  const Folder folder;
  write_hf(folder);
  folder.write(
      "tokenizer_config.json",
      R"({"bos_token":{"content":"<b>","lstrip":false},"eos_token":"<e>","pad_token":null,"unk_token":7})");
  const std::map<std::string, std::string> expected{{"bos_token", "<b>"}, {"eos_token", "<e>"}};
  EXPECT_EQ(open(folder)->special_tokens, expected);
  folder.write("tokenizer_config.json", "{}");
  folder.write("special_tokens_map.json", R"({"bos_token":"<b>","eos_token":{"content":"<e>"}})");
  EXPECT_EQ(open(folder)->special_tokens, expected);
}

// ---------- without weights ----------

TEST(CheckpointTokenizer, NeedsNeitherWeightsNorAKnownModel) {
  const Folder folder;
  EXPECT_THAT(error_of(open(folder, false)), HasSubstr("no tokenizer"));
  const std::string file = folder.write("tokenizer.json", "{}");
  const auto c = open(folder, false);
  ASSERT_TRUE(c.has_value()) << error_of(c);
  EXPECT_EQ(c->tokenizer_json_path, file);
  EXPECT_EQ(c->tensors, nullptr);
  EXPECT_FALSE(c->config.has_value());
  EXPECT_EQ(Checkpoint::open(file, {.need_weights = false})->tokenizer_json_path, file);
  folder.write("config.json", R"({"architectures":["BertModel"]})");
  folder.write("pytorch_model.bin", "x");
  EXPECT_TRUE(open(folder, false).has_value());
  folder.write("config.json", kConfig);
  EXPECT_TRUE(open(folder, false)->config.has_value());
}

TEST(CheckpointTokenizer, OfAGgufFileOfAnyArchitecture) {
  const Folder folder;
  testing::GgufWriter w;
  w.text("general.architecture", "gemma3").text("tokenizer.ggml.model", "llama");
  w.strings("tokenizer.ggml.tokens", {"a", "b"});
  const std::string path = folder.write("vocab.gguf", w.bytes());
  const auto c = Checkpoint::open(path, {.need_weights = false});
  ASSERT_TRUE(c.has_value()) << error_of(c);
  EXPECT_EQ(c->gguf_vocab->model, "llama");
  EXPECT_FALSE(c->config.has_value());
  EXPECT_FALSE(Checkpoint::open(path, {}).has_value());
}

TEST(Checkpoint, TruncatedGgufIsNeverHalfLoaded) {
  const Folder folder;
  const std::string whole = tiny_llama_gguf().bytes();
  std::mt19937 random(6);
  for (int i = 0; i < 50; ++i) {
    const size_t keep = random() % whole.size();
    EXPECT_FALSE(Checkpoint::open(folder.write("m.gguf", whole.substr(0, keep)), {}).has_value()) << keep;
  }
  EXPECT_FALSE(Checkpoint::open(folder.write("m.gguf", whole + std::string(1000, 'x')), {}).has_value());
}

TEST(Checkpoint, FlippedBytesOfAGgufAreLoadedOrRefused) {
  const Folder folder;
  const std::string whole = tiny_llama_gguf().bytes();
  const size_t header = whole.find("output_norm.weight") + 48;
  std::mt19937 random(7);
  size_t refused = 0;
  constexpr int kTries = 3000;
  for (int i = 0; i < kTries; ++i) {
    std::string bytes = whole;
    bytes[random() % header] = static_cast<char>(random());
    const auto c = Checkpoint::open(folder.write("m.gguf", bytes), {});
    refused += c ? 0 : 1;
    if (c) {
      ASSERT_TRUE(c->config.has_value());
    }
  }
  EXPECT_GT(refused, static_cast<size_t>(kTries) / 3);
}

}  // namespace
}  // namespace pegainfer

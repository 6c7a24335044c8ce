#include "checkpoint/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "base/json.h"
#include "support/checkpoint_files.h"

namespace pegainfer {
namespace {

using ::testing::AllOf;
using testing::counting_tensor;
using testing::Folder;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::safetensors_bytes;
using testing::tiny_llama_gguf;

std::string text_of(const std::string& path) {
  const auto out = inspect(path, false);
  return out ? *out : "error: " + out.error().message;
}
json::Value json_of(const std::string& path) {
  const auto out = inspect(path, true);
  EXPECT_TRUE(out.has_value()) << (out ? "" : out.error().message);
  auto value = json::parse(out ? *out : "null");
  EXPECT_TRUE(value.has_value());
  return value ? *value : json::Value();
}

TEST(Inspect, ABareSafetensorsFileOfAnyContent) {
  const Folder folder;
  const std::string path =
      folder.write("x.safetensors", safetensors_bytes({counting_tensor("some.weight", {100, 20}),
                                                       {"ids", "I64", {3}, std::string(24, 'x')},
                                                       {"s", "F8_E4M3", {}, "x"}}));
  const std::string text = text_of(path);
  EXPECT_THAT(text, AllOf(HasSubstr(path), HasSubstr("2.00 K (2,004)"), HasSubstr("some.weight"),
                          HasSubstr("100 x 20"), HasSubstr("7.81 KiB"), HasSubstr("I64"), HasSubstr("scalar"),
                          HasSubstr("(not loadable)")));
  const json::Value v = json_of(path);
  EXPECT_EQ(v.at("parameters").to_number<int>(), 2004);
  EXPECT_EQ(v.at("weight_bytes").to_number<int>(), 8025);
  EXPECT_EQ(v.at("tensors").as_array().size(), 3U);
  const json::Value& first = v.at("tensors").at(0);
  EXPECT_EQ(first.at("name").as_string(), "some.weight");
  EXPECT_EQ(first.at("dtype").as_string(), "F32");
  EXPECT_EQ(first.at("shape").at(1).to_number<int>(), 20);
  EXPECT_TRUE(first.at("supported").as_bool());
  EXPECT_FALSE(v.at("tensors").at(1).at("supported").as_bool());
  EXPECT_FALSE(v.as_object().contains("config"));
  EXPECT_THAT(text_of(folder.write("empty.safetensors", safetensors_bytes("{}", ""))),
              HasSubstr("0 tensors"));
}

TEST(Inspect, ABareGgufFileOfAnyContent) {
  const Folder folder;
  const std::string model = text_of(folder.write("m.gguf", tiny_llama_gguf().bytes()));
  EXPECT_THAT(model, AllOf(HasSubstr("GGUF v3"), HasSubstr("llama"), HasSubstr("2 heads, 1 KV heads of 4"),
                           HasSubstr("blk.0.ffn_down.weight"), Not(HasSubstr("not runnable"))));
  testing::GgufWriter other;
  other.text("general.architecture", "clip").tensor("v.patch", 21, {256, 2}, std::string(220, 'x'));
  const std::string path = folder.write("o.gguf", other.bytes());
  EXPECT_THAT(text_of(path), AllOf(HasSubstr("clip"), HasSubstr("not runnable"), HasSubstr("IQ3_S"),
                                   HasSubstr("(not loadable)")));
  EXPECT_THAT(std::string(json_of(path).at("not_runnable").as_string()), HasSubstr("supported in GGUF are"));
  EXPECT_THAT(text_of(folder.write("empty.gguf", testing::GgufWriter().bytes())), HasSubstr("0 tensors"));
}

TEST(Inspect, AModelFolder) {
  const Folder folder;
  folder.write("config.json",
               R"({"architectures":["Qwen3ForCausalLM"],"hidden_size":64,"num_attention_heads":4,
      "num_key_value_heads":2,"head_dim":32,"num_hidden_layers":2,"vocab_size":1000,"eos_token_id":[7,5]})");
  folder.write("a.safetensors", safetensors_bytes({counting_tensor("a", {4})}));
  folder.write("b.safetensors", safetensors_bytes({counting_tensor("b", {4, 4})}));
  folder.write("model.safetensors.index.json", R"({"weight_map":{"a":"a.safetensors","b":"b.safetensors"}})");
  const std::string text = text_of(folder.path().string());
  EXPECT_THAT(text, AllOf(HasSubstr("2 shards"), HasSubstr("Qwen3ForCausalLM"),
                          HasSubstr("4 heads, 2 KV heads of 32"), HasSubstr("5, 7"), HasSubstr("QK norm")));
  const json::Value v = json_of(folder.path().string());
  EXPECT_EQ(v.at("config").at("head_dim").to_number<int>(), 32);
  EXPECT_EQ(v.at("files").as_array().size(), 2U);
  EXPECT_EQ(v.at("eos_token_ids").at(0).to_number<int>(), 5);
}

TEST(Inspect, TheTableIsAligned) {
  const Folder folder;
  std::istringstream text(text_of(folder.write("m.gguf", tiny_llama_gguf().bytes())));
  std::string line;
  while (std::getline(text, line) && !line.starts_with("tensor ")) {
  }
  const size_t width = line.size();
  size_t rows = 0;
  while (std::getline(text, line)) {
    EXPECT_EQ(line.size(), width) << line;
    ++rows;
  }
  EXPECT_EQ(rows, 11U);
}

TEST(Inspect, WhatIsNotValidIsOneLine) {
  const Folder folder;
  const std::string good = safetensors_bytes({counting_tensor("a", {4})});
  folder.write("pytorch_model.bin", "x");
  for (const std::string& path :
       {folder.at("missing"), folder.write("cut.safetensors", good.substr(0, good.size() - 1)),
        folder.write("cut.gguf", tiny_llama_gguf().bytes().substr(0, 500)), folder.write("x.txt", "hello"),
        folder.at("pytorch_model.bin"), folder.path().string()}) {
    for (const bool json : {false, true}) {
      const auto out = inspect(path, json);
      ASSERT_FALSE(out.has_value()) << path;
      EXPECT_EQ(out.error().message.find('\n'), std::string::npos);
      EXPECT_THAT(out.error().message, HasSubstr(path));
    }
  }
}

}  // namespace
}  // namespace pegainfer

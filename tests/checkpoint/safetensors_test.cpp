// safetensors files as a whole: what is read from them, damage at random places, shards.
#include "checkpoint/safetensors.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "support/checkpoint_files.h"

namespace pegainfer {
namespace {

using testing::counting_tensor;
using ::testing::ElementsAre;
using testing::Folder;
using ::testing::HasSubstr;
using testing::SafeTensor;
using testing::safetensors_bytes;

std::string error_of(const Result<std::unique_ptr<TensorSource>>& opened) {
  return opened ? std::string("opened") : opened.error().message;
}

std::vector<float> values_of(const TensorSource& source, std::string_view name) {
  const TensorInfo* tensor = source.find(name);
  if (tensor == nullptr) return {};
  std::vector<float> out(tensor->bytes / sizeof(float));
  EXPECT_TRUE(source.read(*tensor, 0, std::as_writable_bytes(std::span(out))).has_value());
  return out;
}

TEST(Safetensors, GivesTensorsInTheOrderOfTheirDataWithTheirBytes) {
  const Folder folder;
  const std::string path =
      folder.write("m.safetensors", safetensors_bytes({counting_tensor("w", {2, 3}),
                                                       {"h", "BF16", {2}, std::string("\x80\x3f\x00\x40", 4)},
                                                       {"ids", "I64", {1}, std::string(8, '\1')}}));
  const auto source = open_safetensors(path);
  ASSERT_TRUE(source.has_value()) << error_of(source);
  const auto tensors = (*source)->tensors();
  ASSERT_EQ(tensors.size(), 3U);
  EXPECT_EQ(tensors[0].name, "w");
  EXPECT_THAT(tensors[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(tensors[1].format, WeightFormat::kBF16);
  EXPECT_TRUE(tensors[1].supported);
  EXPECT_EQ(tensors[2].dtype_name, "I64");
  EXPECT_FALSE(tensors[2].supported);
  EXPECT_THAT(values_of(**source, "w"), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_EQ((*source)->find("v"), nullptr);
  EXPECT_THAT((*source)->file_names(), ElementsAre(path));

  std::array<std::byte, 4> part{};
  ASSERT_TRUE((*source)->read(tensors[0], 8, part).has_value());
  float third = 0;
  std::memcpy(&third, part.data(), sizeof third);
  EXPECT_EQ(third, 2.0F);
}

TEST(Safetensors, MissingFilesAndFoldersAreNamed) {
  const Folder folder;
  EXPECT_THAT(error_of(open_safetensors(folder.at("none.safetensors"))), HasSubstr("none.safetensors"));
  EXPECT_THAT(error_of(open_safetensors(folder.path().string())), HasSubstr("is a directory"));
}

TEST(Safetensors, TruncatedOrLongerAtAnyPlaceIsRefused) {
  const Folder folder;
  const std::string whole = safetensors_bytes(
      {counting_tensor("a", {16, 8}), counting_tensor("b", {3}), counting_tensor("c", {5, 5})});
  ASSERT_TRUE(open_safetensors(folder.write("w.safetensors", whole)).has_value());
  std::mt19937 random(3);
  for (int i = 0; i < 100; ++i) {
    const size_t keep = random() % whole.size();
    SCOPED_TRACE(keep);
    EXPECT_FALSE(open_safetensors(folder.write("c.safetensors", whole.substr(0, keep))).has_value());
  }
  EXPECT_THAT(error_of(open_safetensors(folder.write("l.safetensors", whole + std::string(7, 'x')))),
              HasSubstr("7 surplus bytes"));
}

TEST(Safetensors, FlippedBitsInTheHeaderAreReadOrRefused) {
  const Folder folder;
  const std::string whole = safetensors_bytes({counting_tensor("model.norm.weight", {4}),
                                               {"x", "BF16", {2, 2}, std::string(8, 'x')},
                                               counting_tensor("b", {3})});
  const size_t header = whole.size() - 16 - 8 - 12;
  std::mt19937 random(4);
  size_t refused = 0;
  constexpr int kTries = 4000;
  for (int i = 0; i < kTries; ++i) {
    std::string bytes = whole;
    bytes[random() % header] ^= static_cast<char>(1U << (random() % 8));
    const auto opened = open_safetensors(folder.write("f.safetensors", bytes));
    if (!opened) {
      ++refused;
      continue;
    }
    for (const TensorInfo& t : (*opened)->tensors()) ASSERT_LE(t.offset + t.bytes, bytes.size());
  }
  EXPECT_GT(refused, static_cast<size_t>(kTries) / 2);
}

// ---------- shards ----------

constexpr std::string_view kIndex = "model.safetensors.index.json";

// Two shards with a.0, a.1 and b.0, and the index given.
Result<std::unique_ptr<TensorSource>> open_with_index(const Folder& folder, std::string_view index) {
  folder.write("a.safetensors",
               safetensors_bytes({counting_tensor("a.0", {2}), counting_tensor("a.1", {3})}));
  folder.write("b.safetensors", safetensors_bytes({counting_tensor("b.0", {4})}));
  return open_sharded_safetensors(folder.write(std::string(kIndex), index));
}

std::string mapped(std::string_view map) { return fmt::format(R"({{"weight_map":{}}})", map); }

TEST(SafetensorsIndex, JoinsShards) {
  const Folder folder;
  const auto source = open_with_index(folder, R"({"metadata":{"total_size":36},"weight_map":
      {"a.0":"a.safetensors","b.0":"b.safetensors","a.1":"a.safetensors"}})");
  ASSERT_TRUE(source.has_value()) << error_of(source);
  EXPECT_EQ((*source)->tensors().size(), 3U);
  EXPECT_THAT((*source)->file_names(), ElementsAre(folder.at("a.safetensors"), folder.at("b.safetensors")));
  EXPECT_THAT(values_of(**source, "b.0"), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(values_of(**source, "a.1"), ElementsAre(0, 1, 2));
}

TEST(SafetensorsIndex, TensorsItDoesNotMentionAreKeptForTheModelToJudge) {
  const Folder folder;
  const auto source = open_with_index(folder, mapped(R"({"a.0":"a.safetensors"})"));
  ASSERT_TRUE(source.has_value()) << error_of(source);
  EXPECT_NE((*source)->find("a.1"), nullptr);
}

TEST(SafetensorsIndex, RulesOfTheMap) {
  struct Case {
    std::string index, message;
  };
  const std::vector<Case> cases{
      {mapped(R"({"a.0":"../a.safetensors"})"), "not a plain file name"},
      {mapped(R"({"a.0":"/etc/passwd"})"), "not a plain file name"},
      {mapped(R"({"a.0":"sub/a.safetensors"})"), "not a plain file name"},
      {mapped(R"({"a.0":"sub\\a.safetensors"})"), "not a plain file name"},
      {mapped(R"({"a.0":".."})"), "not a plain file name"},
      {mapped(R"({"a.0":""})"), "not a plain file name"},
      {mapped(R"({"a.0":"a\u0000.safetensors"})"), "not a plain file name"},
      {mapped(R"({"a.0":"pytorch_model.bin"})"), "only .safetensors shards are read"},
      {mapped(R"({"a.0":1})"), "is an integer, expected a file name"},
      {mapped(R"({"a.0":"c.safetensors"})"), "c.safetensors: No such file"},
      {mapped(R"({"a.0":"a.safetensors","a.2":"a.safetensors"})"), "tensor \"a.2\" is not in a.safetensors"},
      {mapped(R"({"a.0":"b.safetensors","b.0":"b.safetensors","a.1":"a.safetensors"})"),
       "tensor \"a.0\" is not in b.safetensors"},
      {mapped(R"({"a.0":"a.safetensors","a.0":"b.safetensors"})"), "duplicate key"},
      {mapped("{}"), "\"weight_map\" is missing, empty"},
      {mapped("[]"), "\"weight_map\" is missing, empty"},
      {"{}", "\"weight_map\" is missing"},
      {"[]", "\"weight_map\" is missing"},
      {"{", "invalid JSON"},
      {"", "invalid JSON"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.index);
    const Folder folder;
    const auto source = open_with_index(folder, c.index);
    ASSERT_FALSE(source.has_value());
    EXPECT_THAT(error_of(source), HasSubstr(c.message));
    EXPECT_THAT(error_of(source), HasSubstr(folder.path().string()));
  }
}

TEST(SafetensorsIndex, ATensorInTwoShardsIsRefused) {
  const Folder folder;
  folder.write("c.safetensors", safetensors_bytes({counting_tensor("c", {1}), counting_tensor("a.0", {2})}));
  const auto source = open_with_index(folder, mapped(R"({"a.0":"a.safetensors","c":"c.safetensors"})"));
  ASSERT_FALSE(source.has_value());
  EXPECT_THAT(error_of(source), HasSubstr("tensor \"a.0\" is in two files"));
}

TEST(SafetensorsIndex, ATruncatedShardIsRefusedBeforeAnythingIsRead) {
  const Folder folder;
  ASSERT_TRUE(
      open_with_index(folder, mapped(R"({"a.0":"a.safetensors","b.0":"b.safetensors"})")).has_value());
  const std::string b = safetensors_bytes({counting_tensor("b.0", {4})});
  for (size_t keep = 0; keep < b.size(); ++keep) {
    folder.write("b.safetensors", b.substr(0, keep));
    const auto source = open_sharded_safetensors(folder.at(std::string(kIndex)));
    ASSERT_FALSE(source.has_value()) << keep;
    EXPECT_THAT(error_of(source), HasSubstr("b.safetensors"));
  }
}

}  // namespace
}  // namespace pegainfer

#include "checkpoint/gguf.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "checkpoint/allocations.h"
#include "checkpoint/gguf_types.h"
#include "support/checkpoint_files.h"

namespace pegainfer {
namespace {

using ::testing::ElementsAre;
using testing::Folder;
using testing::gguf_string;
using testing::GgufWriter;
using ::testing::HasSubstr;
using testing::little_endian;

constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ4_1 = 3;
constexpr uint32_t kI64 = 27;

// Allocations of a reader that believed a length would show here.
constexpr size_t kSlack = size_t{16} << 20;

Result<GgufFile> read(const Folder& folder, const std::string& bytes) {
  const std::string path = folder.write("f.gguf", bytes);
  ASSIGN_OR_RETURN(const File file, File::open(path));
  testing::reset_peak_bytes();
  Result<GgufFile> out = read_gguf(file);
  EXPECT_LE(testing::peak_bytes(), 4 * bytes.size() + kSlack);
  return out;
}

std::string zeros(size_t n) { return std::string(n, '\0'); }
std::string eight_floats() { return zeros(32); }

GgufWriter metadata_only() { return GgufWriter().text("general.architecture", "llama").u32("n", 7); }
GgufWriter one_tensor() { return metadata_only().tensor("t", kF32, {8}, eight_floats()); }

struct Broken {
  std::string name;
  std::string bytes;
  std::string message;  // a part of it
};

std::vector<Broken> broken_headers() {
  GgufWriter magic = one_tensor(), v0 = one_tensor(), v1 = one_tensor(), v4 = one_tensor(),
             huge = one_tensor(), big_endian = one_tensor();
  magic.magic = "FUGG";
  v0.version = 0;
  v1.version = 1;
  v4.version = 4;
  huge.version = 0xffffffffU;
  big_endian.version = 3U << 24;
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  return {
      {"empty file", "", "truncated"},
      {"magic only", "GGUF", "truncated"},
      {"bad magic", magic.bytes(), "does not begin with"},
      {"version 0", v0.bytes(), "version 0, supported are 2 and 3"},
      {"version 1", v1.bytes(), "version 1, supported are 2 and 3"},
      {"future version", v4.bytes(), "version 4, supported are 2 and 3"},
      {"huge version", huge.bytes(), "version 4294967295"},
      {"big-endian", big_endian.bytes(), "big-endian"},
      {"tensor count too large", one_tensor().bytes(kHuge, 2), "18446744073709551615 tensors"},
      {"metadata count too large", one_tensor().bytes(1, kHuge), "18446744073709551615 metadata entries"},
      {"tensor count beyond the file", one_tensor().bytes(6, 2), "6 tensors in a file of"},
      {"metadata count beyond the file", one_tensor().bytes(1, 50), "50 metadata entries in a file of"},
      {"one tensor too many", one_tensor().bytes(2, 2), ""},
      {"one metadata entry too many", one_tensor().bytes(1, 3), ""},
      {"one tensor too few", one_tensor().bytes(0, 2), "surplus"},
  };
}

std::vector<Broken> broken_metadata() {
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  const std::string u32_type = little_endian<uint32_t>(4), array_type = little_endian<uint32_t>(9);
  const auto raw = [](std::string bytes) { return GgufWriter().raw_metadata(std::move(bytes)).bytes(); };
  const auto array_of = [&](uint32_t type, uint64_t count, const std::string& rest) {
    return raw(gguf_string("k") + array_type + little_endian(type) + little_endian(count) + rest);
  };
  return {
      {"key size 2^64-1", raw(little_endian(kHuge) + "key" + u32_type + zeros(64)), "metadata key 0"},
      {"key size beyond the file", raw(little_endian<uint64_t>(5000) + "key" + u32_type + zeros(64)), "has"},
      {"key over 64 KiB", raw(gguf_string(std::string(70'000, 'k')) + u32_type + zeros(4)), "at most 65535"},
      {"empty key", raw(gguf_string("") + u32_type + zeros(4)), "metadata key 0 is empty"},
      {"key with a control byte", raw(gguf_string("a\nb") + u32_type + zeros(4)), "control"},
      {"key not UTF-8", raw(gguf_string("a\xff") + u32_type + zeros(4)), "UTF-8"},
      {"bad type", raw(gguf_string("k") + little_endian<uint32_t>(13) + zeros(64)), "has type 13"},
      {"type -1", raw(gguf_string("k") + little_endian<uint32_t>(~0U) + zeros(64)), "has type 4294967295"},
      {"value cut", raw(gguf_string("k") + little_endian<uint32_t>(10) + zeros(1)).substr(0, 40),
       "truncated"},
      {"text size 2^64-1", raw(gguf_string("k") + little_endian<uint32_t>(8) + little_endian(kHuge) + "x"),
       "18446744073709551615 bytes long"},
      {"array count 2^64-1", array_of(4, kHuge, zeros(64)), "18446744073709551615 elements"},
      {"array size overflows to 0", array_of(10, uint64_t{1} << 61, zeros(64)), "elements of UINT64"},
      {"array of texts beyond the file", array_of(8, 1'000'000, zeros(64)), "1000000 elements of STRING"},
      {"array of arrays", array_of(9, 1, little_endian<uint32_t>(4) + zeros(64)), "array of arrays"},
      {"array of a bad type", array_of(99, 1, zeros(64)), "has type 99"},
      {"boolean 2", GgufWriter().boolean("b", 2).bytes(), "a boolean is 0 or 1"},
      {"boolean 2 in an array", array_of(7, 3, "\x01\x02\x01"), "neither 0 nor 1"},
      {"key twice", GgufWriter().u32("k", 1).u32("k", 2).bytes(), "\"k\" is there twice"},
      {"alignment 0", one_tensor().u32("general.alignment", 0).bytes(), "expected a power of two"},
      {"alignment 13", one_tensor().u32("general.alignment", 13).bytes(), "is 13, expected a power of two"},
      {"alignment of another type", one_tensor().i32("general.alignment", 32).bytes(),
       "is INT32, expected UINT32"},
      {"alignment a text", one_tensor().text("general.alignment", "32").bytes(), "expected UINT32"},
  };
}

// A tensor described so, with 4 KiB of data behind it.
std::string described(const std::string& description) {
  return metadata_only().raw_tensor(description).bytes() + zeros(4096);
}

std::vector<Broken> broken_tensors() {
  constexpr int64_t kBig = std::numeric_limits<int64_t>::max();
  const auto describe = [](std::vector<int64_t> dims, uint32_t type = kF32, uint64_t offset = 0) {
    return described(GgufWriter::describe("t", dims, type, offset));
  };
  GgufWriter twice = one_tensor();
  twice.tensor("t", kF32, {8}, eight_floats());
  GgufWriter unaligned = metadata_only();  // its second tensor at 16, in a file whose alignment is 32
  unaligned.raw_tensor(GgufWriter::describe("a", {4}, kF32, 0))
      .raw_tensor(GgufWriter::describe("b", {4}, kF32, 16));
  GgufWriter inconsistent = one_tensor();  // written for 32, says 64
  inconsistent.tensor("u", kF32, {8}, eight_floats()).u32("general.alignment", 64);
  return {
      {"name size 2^64-1", described(little_endian(std::numeric_limits<uint64_t>::max()) + zeros(64)),
       "at most"},
      {"name over 1 KiB", described(GgufWriter::describe(std::string(1025, 'n'), {1}, kF32, 0)),
       "at most 1024"},
      {"empty name", described(GgufWriter::describe("", {1}, kF32, 0)), "is empty"},
      {"name with a control byte", described(GgufWriter::describe("a\x1b[2J", {1}, kF32, 0)), "control"},
      {"5 dimensions", describe({1, 1, 1, 1, 1}), "has 5 dimensions, at most 4"},
      {"2^32-1 dimensions", described(gguf_string("t") + little_endian<uint32_t>(~0U) + zeros(64)),
       "dimensions"},
      {"negative dimension", describe({-1}), "a dimension of -1"},
      {"dimension 2^63", describe({std::numeric_limits<int64_t>::min()}),
       "a dimension of -9223372036854775808"},
      {"shape overflows", describe({kBig, kBig}), "overflows"},
      {"shape overflows 63 bits", describe({int64_t{1} << 32, int64_t{1} << 31}), "overflows"},
      {"shape overflows to 0", describe({int64_t{1} << 32, int64_t{1} << 32}), "overflows"},
      {"size overflows", describe({kBig}, kI64), "overflows"},
      {"exabytes", describe({int64_t{1} << 59}), "end behind the file"},
      {"bad tensor type", describe({8}, 99), "has unknown type 99"},
      {"removed tensor type", describe({32}, 4), "has unknown type 4"},
      {"type -1", describe({8}, ~0U), "has unknown type 4294967295"},
      {"row not of whole blocks", describe({33}, kQ4_1), "rows of 33 elements"},
      {"bad offset", describe({8}, kF32, std::numeric_limits<uint64_t>::max()),
       "offset 18446744073709551615"},
      {"offset not 0", describe({8}, kF32, 32), "offset 32, expected 0"},
      {"offset off the alignment", unaligned.bytes() + zeros(4096), "offset 16, expected 32"},
      {"inconsistent alignment", inconsistent.bytes(), "offset 32, expected 64"},
      {"tensor name twice", twice.bytes(), "\"t\" is there twice"},
      {"not enough data",
       metadata_only().raw_tensor(GgufWriter::describe("t", {64}, kF32, 0)).bytes() + zeros(255),
       "truncated"},
      {"sizes add up to an overflow",
       metadata_only()
               .raw_tensor(GgufWriter::describe("a", {0x7fffffffffffffc0}, 24, 0))
               .raw_tensor(GgufWriter::describe("b", {0x7fffffffffffffc0}, 24, 0x7fffffffffffffc0))
               .bytes() +
           zeros(64),
       "truncated"},
      {"surplus bytes", one_tensor().bytes() + zeros(1), "1 surplus bytes"},
      {"surplus block", one_tensor().bytes() + zeros(4096), "4096 surplus bytes"},
      {"surplus without tensors", metadata_only().bytes() + zeros(64), "surplus bytes"},
  };
}

TEST(Gguf, BrokenFilesAreRefusedAndSayWhy) {
  const Folder folder;
  size_t count = 0;
  for (const auto& kinds : {broken_headers(), broken_metadata(), broken_tensors()}) {
    for (const Broken& broken : kinds) {
      SCOPED_TRACE(broken.name);
      const auto opened = read(folder, broken.bytes);
      ASSERT_FALSE(opened.has_value());
      EXPECT_THAT(opened.error().message, HasSubstr(broken.message));
      EXPECT_THAT(opened.error().message, HasSubstr(folder.at("f.gguf")));
      EXPECT_EQ(opened.error().message.find('\n'), std::string::npos);
      ++count;
    }
  }
  EXPECT_GE(count, 28U);
}

TEST(Gguf, ReadsEveryTypeOfMetadata) {
  const Folder folder;
  GgufWriter w;
  w.u32("u32", 7).i32("i32", -7).u64("u64", uint64_t{1} << 40).f32("f32", 0.5F).boolean("yes", 1);
  w.text("text", "hello").strings("texts", {"a", "", "ccc"}).i32s("ints", {1, -2}).f32s("floats", {0.25F});
  w.raw_metadata(gguf_string("u8") + little_endian<uint32_t>(0) + "\xff");
  w.raw_metadata(gguf_string("i8") + little_endian<uint32_t>(1) + "\xff");
  w.raw_metadata(gguf_string("u16") + little_endian<uint32_t>(2) + "\xff\xff");
  w.raw_metadata(gguf_string("i16") + little_endian<uint32_t>(3) + "\xff\xff");
  w.raw_metadata(gguf_string("i64") + little_endian<uint32_t>(11) + little_endian<int64_t>(-5));
  w.raw_metadata(gguf_string("f64") + little_endian<uint32_t>(12) + little_endian(0.1));
  auto opened = read(folder, w.bytes());
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  GgufMetadata& m = opened->metadata;
  EXPECT_EQ(*m.integer("u32"), 7);
  EXPECT_EQ(*m.integer("i32"), -7);
  EXPECT_EQ(*m.integer("u64"), int64_t{1} << 40);
  EXPECT_EQ(*m.integer("u8"), 255);
  EXPECT_EQ(*m.integer("i8"), -1);
  EXPECT_EQ(*m.integer("u16"), 65535);
  EXPECT_EQ(*m.integer("i16"), -1);
  EXPECT_EQ(*m.integer("i64"), -5);
  EXPECT_EQ(*m.number("f32"), 0.5);
  EXPECT_EQ(*m.number("f64"), 0.1);
  EXPECT_EQ(*m.number("u32"), 7.0);
  EXPECT_EQ(*m.boolean("yes"), true);
  EXPECT_EQ(*m.text("text"), "hello");
  EXPECT_EQ((*m.numbers("ints"))->number(1), -2);
  EXPECT_EQ((*m.numbers("floats"))->number(0), 0.25);
  EXPECT_THAT(*m.take_strings("texts"), ElementsAre("a", "", "ccc"));
  EXPECT_EQ(*m.integer("missing"), std::nullopt);
  EXPECT_THAT(m.integer("text").error().message, HasSubstr("\"text\" is a string, expected an integer"));
  EXPECT_THAT(m.text("u32").error().message, HasSubstr("is an integer, expected a string"));
  EXPECT_THAT(m.take_strings("ints").error().message, HasSubstr("expected an array of strings"));
}

TEST(Gguf, ShapesAreOutermostFirstAndOffsetsOfTheFile) {
  const Folder folder;
  for (const uint32_t version : {2U, 3U}) {
    GgufWriter w = metadata_only();
    w.version = version;
    w.tensor("m", kF32, {4, 3, 2}, zeros(96)).tensor("q", kQ4_1, {64, 2}, std::string(80, 'q'));
    const std::string bytes = w.bytes();
    const auto opened = read(folder, bytes);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    EXPECT_EQ(opened->version, version);
    ASSERT_EQ(opened->tensors.size(), 2U);
    EXPECT_THAT(opened->tensors[0].shape, ElementsAre(2, 3, 4));
    EXPECT_EQ(opened->tensors[0].bytes, 96U);
    const TensorInfo& q = opened->tensors[1];
    EXPECT_THAT(q.shape, ElementsAre(2, 64));
    EXPECT_EQ(q.format, WeightFormat::kQ4_1);
    EXPECT_EQ(q.bytes, 80U);
    EXPECT_EQ(bytes.substr(q.offset, q.bytes), std::string(80, 'q'));
  }
}

TEST(Gguf, AcceptsOwnAlignmentsMissingPaddingAndEmptyTensors) {
  const Folder folder;
  for (const uint32_t alignment : {1U, 2U, 64U, 4096U}) {
    GgufWriter w = metadata_only();
    w.alignment = alignment;
    w.u32("general.alignment", alignment).tensor("a", kF32, {3}, zeros(12)).tensor("b", kF32, {1}, "abcd");
    const std::string bytes = w.bytes();
    const auto opened = read(folder, bytes);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    EXPECT_EQ(bytes.substr(opened->tensors[1].offset, 4), "abcd");
    // The padding after the last tensor may be missing.
    const std::string cut = bytes.substr(0, opened->tensors[1].offset + 4);
    EXPECT_TRUE(read(folder, cut).has_value());
    EXPECT_FALSE(read(folder, cut.substr(0, cut.size() - 1)).has_value());
  }
  const auto empty = read(folder, metadata_only().tensor("e", kF32, {0, 5}, "").bytes());
  ASSERT_TRUE(empty.has_value()) << empty.error().message;
  EXPECT_EQ(empty->tensors[0].bytes, 0U);
  EXPECT_TRUE(read(folder, GgufWriter().bytes()).has_value());
}

TEST(Gguf, EveryKnownTypeIsListedAndThoseWeComputeWithAgree) {
  const Folder folder;
  size_t supported = 0;
  for (const GgufTensorType& type : kGgufTensorTypes) {
    const auto opened = read(
        folder, metadata_only()
                    .tensor("t", type.id, {type.block_elements * 2, 3}, zeros(size_t{type.block_bytes} * 6))
                    .bytes());
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    const TensorInfo& t = opened->tensors[0];
    EXPECT_EQ(t.dtype_name, type.name);
    EXPECT_EQ(t.supported, type.format.has_value());
    if (!t.supported) continue;
    ++supported;
    EXPECT_EQ(t.bytes, 3 * row_bytes(t.format, t.shape[1]));
  }
  EXPECT_EQ(supported, static_cast<size_t>(kNumWeightFormats));
}

// Metadata of the smallest entries that memory could be blown up with.
TEST(Gguf, MemoryStaysWithinFourTimesTheFile) {
  const Folder folder;
  GgufWriter texts;
  texts.strings("t", std::vector<std::string>(2'000'000, ""));
  EXPECT_TRUE(read(folder, texts.bytes()).has_value());
  GgufWriter sixteen;
  sixteen.strings("t", std::vector<std::string>(1'000'000, "sixteen letters."));
  EXPECT_TRUE(read(folder, sixteen.bytes()).has_value());
  GgufWriter many;
  for (int i = 0; i < 65'000; ++i) many.u32(fmt::format("key {}", i), 1);
  for (int i = 0; i < 65'000; ++i) {
    many.raw_tensor(GgufWriter::describe(fmt::format("{}", i), {0, 1, 1, 1}, kF32, 0));
  }
  const auto opened = read(folder, many.bytes());
  EXPECT_TRUE(opened.has_value()) << opened.error().message;
}

TEST(Gguf, TruncatedAnywhereIsRefused) {
  const Folder folder;
  const std::string whole = testing::tiny_llama_gguf().bytes();
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    const size_t keep = random() % whole.size();
    SCOPED_TRACE(keep);
    EXPECT_FALSE(read(folder, whole.substr(0, keep)).has_value());
  }
  EXPECT_TRUE(read(folder, whole).has_value());
}

TEST(Gguf, FlippedBytesAreReadOrRefused) {
  const Folder folder;
  GgufWriter w = testing::tiny_llama_gguf();
  const std::string whole = w.i32s("numbers", {1, 2, 3}).u32("general.alignment", 32).bytes();
  const size_t header = whole.find("output_norm.weight") + 48;  // past it is data
  std::mt19937 random(2);
  size_t refused = 0;
  constexpr int kTries = 4000;
  for (int i = 0; i < kTries; ++i) {
    std::string bytes = whole;
    for (size_t flips = 1 + random() % 3; flips > 0; --flips) {
      bytes[random() % header] ^= static_cast<char>(1U << (random() % 8));
    }
    const auto opened = read(folder, bytes);
    if (!opened) {
      ++refused;
      continue;
    }
    for (const TensorInfo& t : opened->tensors) ASSERT_LE(t.offset + t.bytes, bytes.size());
  }
  EXPECT_GT(refused, static_cast<size_t>(kTries) / 5);
}

}  // namespace
}  // namespace pegainfer

// What is accepted and what is refused, file by file: the verdicts of the reference implementation, but for
// the places where ours are stricter (marked so).
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <limits>

#include "checkpoint/safetensors.h"
#include "support/checkpoint_files.h"

namespace pegainfer {
namespace {

using testing::Folder;
using testing::little_endian;
using testing::safetensors_bytes;

const std::string kFour(4, 'x');
const std::string kEight(8, 'x');

// A file whose one tensor "a" is described by `fields`, with four bytes of data.
std::string one(std::string_view fields, const std::string& data = kFour) {
  return safetensors_bytes("{\"a\":{" + std::string(fields) + "}}", data);
}
std::string shaped(std::string_view shape, const std::string& data = kFour, std::string_view dtype = "F32") {
  return one(fmt::format(R"("dtype":"{}","shape":{},"data_offsets":[0,{}])", dtype, shape, data.size()),
             data);
}
std::string placed(std::string_view offsets, const std::string& data = kFour) {
  return one(fmt::format(R"("dtype":"F32","shape":[1],"data_offsets":{})", offsets), data);
}
// Two tensors of one F32 each.
std::string two(std::string_view first, std::string_view second, const std::string& data = kEight) {
  return safetensors_bytes(fmt::format(R"({{"a":{{"dtype":"F32","shape":[1],"data_offsets":{}}},)"
                                       R"("b":{{"dtype":"F32","shape":[1],"data_offsets":{}}}}})",
                                       first, second),
                           data);
}
std::string entry(std::string_view name) {
  return fmt::format(R"("{}":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", name);
}
std::string with_metadata(std::string_view metadata) {
  return safetensors_bytes(fmt::format(R"({{"__metadata__":{},{}}})", metadata, entry("a")), kFour);
}
std::string nested(size_t depth) {
  return one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":)" + std::string(depth, '[') +
             std::string(depth, ']'));
}

struct Vector {
  std::string name;
  std::string bytes;
  bool accepted;
};

std::vector<Vector> accepted_vectors() {
  std::string rank16 = "[1";
  for (int i = 1; i < 16; ++i) rank16 += ",1";
  return {
      {"valid", shaped("[1]"), true},
      {"no tensors", safetensors_bytes("{}", ""), true},
      {"trailing spaces", safetensors_bytes("{" + entry("a") + "}    ", kFour), true},
      {"leading space", safetensors_bytes(" {" + entry("a") + "}", kFour), true},
      {"metadata of strings", with_metadata(R"({"format":"pt"})"), true},
      {"metadata null", with_metadata("null"), true},
      {"unknown field in a tensor", one(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"extra":1)"), true},
      {"scalar shape", shaped("[]"), true},
      {"zero size", shaped("[0,5]", ""), true},
      {"zero before a product that would overflow",
       shaped("[0,18446744073709551615,18446744073709551615]", ""), true},
      {"header out of order", two("[4,8]", "[0,4]"), true},
      {"zero size between",
       safetensors_bytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                         R"("z":{"dtype":"F32","shape":[0],"data_offsets":[4,4]},)"
                         R"("b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                         kEight),
       true},
      {"F4 in whole bytes", shaped("[4]", "xx", "F4"), true},
      {"F6 in whole bytes", shaped("[4]", "xxx", "F6_E2M3"), true},
      {"rank 16", shaped(rank16 + "]"), true},
      {"escaped letter in a name", safetensors_bytes("{" + entry("\\u0061") + "}", kFour), true},
  };
}

// The reference accepts these; we do not.
std::vector<Vector> stricter_vectors() {
  std::string rank17 = "[1", rank1000 = "[1";
  for (int i = 1; i < 17; ++i) rank17 += ",1";
  for (int i = 1; i < 1000; ++i) rank1000 += ",1";
  return {
      {"NUL in a name", safetensors_bytes("{" + entry("a\\u0000b") + "}", kFour), false},
      {"newline in a name", safetensors_bytes("{" + entry("a\\nb") + "}", kFour), false},
      {"C1 control in a name", safetensors_bytes("{" + entry("a\\u009b") + "}", kFour), false},
      {"empty name", safetensors_bytes("{" + entry("") + "}", kFour), false},
      {"name over 1 KiB", safetensors_bytes("{" + entry(std::string(1025, 'n')) + "}", kFour), false},
      {"same name twice", safetensors_bytes("{" + entry("a") + "," + entry("a") + "}", kFour), false},
      {"same name twice, other shape",
       safetensors_bytes("{" + entry("a") + R"(,"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                         kEight),
       false},
      {"same metadata key twice", with_metadata(R"({"k":"1","k":"2"})"), false},
      {"rank 17", shaped(rank17 + "]"), false},
      {"rank 1000", shaped(rank1000 + "]"), false},
  };
}

std::vector<Vector> refused_frames() {
  const std::string valid = shaped("[1]");
  const std::string header = "{" + entry("a") + "}";
  return {
      {"empty file", "", false},
      {"7 bytes", std::string(7, '\0'), false},
      {"length 0", little_endian<uint64_t>(0) + kFour, false},
      {"length beyond the file", little_endian<uint64_t>(1000) + header + kFour, false},
      {"length over 100 MB", little_endian<uint64_t>(100'000'001) + header + kFour, false},
      {"length 2^64-1", little_endian(std::numeric_limits<uint64_t>::max()) + header + kFour, false},
      {"length 2^64-8", little_endian(std::numeric_limits<uint64_t>::max() - 7) + header + kFour, false},
      {"header cut", safetensors_bytes(header.substr(0, header.size() - 1), kFour), false},
      {"NUL padding", safetensors_bytes(header + std::string(4, '\0'), kFour), false},
      {"byte order mark", safetensors_bytes("\xEF\xBB\xBF" + header, kFour), false},
      {"array at the top", safetensors_bytes("[]", ""), false},
      {"null at the top", safetensors_bytes("null", ""), false},
      {"string at the top", safetensors_bytes("\"a\"", ""), false},
      {"second object", safetensors_bytes(header + "{}", kFour), false},
      {"bad UTF-8", safetensors_bytes("{" + entry("\xff") + "}", kFour), false},
      {"overlong UTF-8", safetensors_bytes("{" + entry("\xc0\xaf") + "}", kFour), false},
      {"surrogate in UTF-8", safetensors_bytes("{" + entry("\xed\xa0\x80") + "}", kFour), false},
      {"lone surrogate", safetensors_bytes("{" + entry("\\ud800") + "}", kFour), false},
      {"line comment", safetensors_bytes("{" + entry("a") + "}//", kFour), false},
      {"block comment", safetensors_bytes("{/**/" + entry("a") + "}", kFour), false},
      {"trailing comma", safetensors_bytes("{" + entry("a") + ",}", kFour), false},
      {"129 deep", nested(127), false},
      {"100,000 deep", nested(100'000), false},
      {"trailing byte", valid + "x", false},
      {"data cut", valid.substr(0, valid.size() - 1), false},
      {"bytes without a tensor", safetensors_bytes("{}", "x"), false},
  };
}

std::vector<Vector> refused_entries() {
  return {
      {"dtype twice", one(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])"), false},
      {"metadata twice",
       safetensors_bytes(R"({"__metadata__":{},"__metadata__":{},)" + entry("a") + "}", kFour), false},
      {"metadata with a number", with_metadata(R"({"k":1})"), false},
      {"metadata with an object", with_metadata(R"({"k":{}})"), false},
      {"metadata with null", with_metadata(R"({"k":null})"), false},
      {"metadata a string", with_metadata("\"x\""), false},
      {"no dtype", one(R"("shape":[1],"data_offsets":[0,4])"), false},
      {"no shape", one(R"("dtype":"F32","data_offsets":[0,4])"), false},
      {"no offsets", one(R"("dtype":"F32","shape":[1])"), false},
      {"unknown dtype", shaped("[1]", kFour, "F31"), false},
      {"lower-case dtype", shaped("[1]", kFour, "f32"), false},
      {"dtype a number", one(R"("dtype":32,"shape":[1],"data_offsets":[0,4])"), false},
      {"tensor null", safetensors_bytes(R"({"a":null})", ""), false},
      {"tensor a number", safetensors_bytes(R"({"a":1})", ""), false},
      {"product overflows", shaped("[18446744073709551615,2]"), false},
      {"product overflows to 1 element", shaped("[4294967296,4294967296]"), false},
      {"bits overflow", shaped("[2305843009213693952]"), false},
      {"zero after the overflow", shaped("[18446744073709551615,18446744073709551615,0]", ""), false},
      {"negative dimension", shaped("[-1]"), false},
      {"dimension 1.0", shaped("[1.0]"), false},
      {"dimension 1e0", shaped("[1e0]"), false},
      {"dimension a string", shaped("[\"1\"]"), false},
      {"dimension null", shaped("[null]"), false},
      {"dimension over 64 bits", shaped("[18446744073709551616]"), false},
      {"dimension 01", shaped("[01]"), false},
      {"shape a number", shaped("1"), false},
      {"F4 ends in a byte", shaped("[3]", "xx", "F4"), false},
      {"F6 ends in a byte", shaped("[1]", "x", "F6_E3M2"), false},
  };
}

std::vector<Vector> refused_offsets() {
  return {
      {"one offset", placed("[0]"), false},
      {"three offsets", placed("[0,4,4]"), false},
      {"no offsets in the list", placed("[]"), false},
      {"negative offset", placed("[-4,0]"), false},
      {"offset 4.0", placed("[0,4.0]"), false},
      {"backwards", placed("[4,0]"), false},
      {"not from 0", placed("[4,8]", kEight), false},
      {"hole", two("[0,4]", "[8,12]", kEight + kFour), false},
      {"overlap", two("[0,4]", "[2,6]", "xxxxxx"), false},
      {"same place", two("[0,4]", "[0,4]", kFour), false},
      {"size mismatch", placed("[0,8]", kEight), false},
      {"past the end", placed("[0,8]"), false},
      {"end 2^64-1", placed("[0,18446744073709551615]"), false},
      {"begin and end 2^64-1", placed("[18446744073709551612,18446744073709551615]"), false},
  };
}

TEST(SafetensorsVerdicts, AreThoseOfTheTable) {
  const Folder folder;
  size_t count = 0;
  for (const auto& vectors :
       {accepted_vectors(), stricter_vectors(), refused_frames(), refused_entries(), refused_offsets()}) {
    for (const Vector& v : vectors) {
      SCOPED_TRACE(v.name);
      const std::string path = folder.write("v.safetensors", v.bytes);
      const auto opened = open_safetensors(path);
      EXPECT_EQ(opened.has_value(), v.accepted) << (opened ? "" : opened.error().message);
      if (!opened) {
        EXPECT_TRUE(opened.error().message.starts_with(path)) << opened.error().message;
        EXPECT_EQ(opened.error().message.find('\n'), std::string::npos);
        EXPECT_LT(opened.error().message.size(), 600U);
      }
      ++count;
    }
  }
  EXPECT_GE(count, 71U);
}

TEST(SafetensorsVerdicts, DepthIsCountedExactly) {
  const Folder folder;  // the object of the file and of the tensor are two
  EXPECT_TRUE(open_safetensors(folder.write("a.safetensors", nested(126))).has_value());
  EXPECT_FALSE(open_safetensors(folder.write("b.safetensors", nested(127))).has_value());
}

TEST(SafetensorsVerdicts, MoreThanAMillionTensorsAreRefused) {
  const Folder folder;
  std::string header = "{";
  for (int i = 0; i <= 1'000'000; ++i) {
    header +=
        fmt::format(R"({}"{}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", i == 0 ? "" : ",", i);
  }
  const auto opened = open_safetensors(folder.write("many.safetensors", safetensors_bytes(header + "}", "")));
  ASSERT_FALSE(opened.has_value());
  EXPECT_NE(opened.error().message.find("1000001 tensors, at most 1000000"), std::string::npos);
}

}  // namespace
}  // namespace pegainfer

// Made-up weights: the same bits everywhere, and a model as its configuration describes it.
#include "model/dummy_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>

#include "base/half.h"
#include "memory_checkpoint.h"
#include "model/registry.h"
#include "tensor/dummy_rows.h"

namespace pegainfer {
namespace {

uint64_t key_of(std::string_view name, int part, uint64_t seed) {
  return dummy_key(name.data(), name.size(), part, seed);
}

// By a second implementation of the formula, in Python: what every backend must come to.
TEST(DummyValue, IsTheSameEverywhere) {
  struct Case {
    std::string_view name;
    int part;
    uint64_t seed, key;
    std::array<uint32_t, 4> bits, values;  // at the indices below; values as F32 bits
  };
  constexpr std::array<uint64_t, 4> kIndices{0, 1, 4095, (uint64_t{1} << 32U) + 5};
  for (const Case& c : {Case{"layers.0.qkv",
                             0,
                             0,
                             0x879e3a0563bc7513U,
                             {0xb2853b3a, 0x9ca3a97d, 0x896a36c8, 0x012594fa},
                             {0xbcabc62e, 0xbcdc4901, 0xbd0373fd, 0x39a2b7af}},
                        Case{"layers.0.qkv",
                             0,
                             1,
                             0x8f73502e06bbaea1U,
                             {0x5776d9b5, 0x135fc2e4, 0x81476620, 0x89341d9a},
                             {0x3cc1e912, 0x3babcfa1, 0xbd0c78d0, 0xbd03aff5}},
                        Case{"head",
                             1,
                             7,
                             0xa464ceb4c8c5085eU,
                             {0x2ccafe9e, 0x1d19a4f5, 0xb03b13ea, 0xaa8ff316},
                             {0x3c469d38, 0x3c010814, 0xbcb0d9b4, 0xbcbd6ae2}}}) {
    EXPECT_EQ(key_of(c.name, c.part, c.seed), c.key);
    for (size_t i = 0; i < kIndices.size(); ++i) {
      EXPECT_EQ(dummy_bits(c.key, kIndices.at(i)), c.bits.at(i));
      EXPECT_EQ(std::bit_cast<uint32_t>(dummy_value(c.key, kIndices.at(i), kDummyScale)), c.values.at(i));
    }
  }
  static_assert(dummy_value(1, 2, 1.0F) >= -1.0F);  // usable at compile time, as in device code
}

TEST(DummyValue, IsUniformAroundZero) {
  constexpr int kCount = 200000;
  for (const uint64_t seed : {0, 1}) {
    const uint64_t key = key_of("embedding", 0, seed);
    double sum = 0;
    double squares = 0;
    double neighbours = 0;
    float last = 0;
    for (uint64_t i = 0; i < kCount; ++i) {
      const float v = dummy_value(key, i, kDummyScale);
      EXPECT_LE(std::fabs(v), kDummyScale);
      sum += v;
      squares += static_cast<double>(v) * v;
      neighbours += static_cast<double>(v) * last;
      last = v;
    }
    EXPECT_NEAR(sum / kCount, 0, 2e-4);  // 4 standard errors
    EXPECT_NEAR(std::sqrt(squares / kCount), 0.02, 2e-4);
    EXPECT_NEAR(neighbours / kCount / 0.0004, 0, 0.01);
  }
}

TEST(DummyValue, KeysDiffer) {
  std::set<uint64_t> keys;
  int count = 0;
  for (int layer = 0; layer < 100; ++layer) {
    for (const char* name : {"layers.{}.qkv", "layers.{}.o", "layers.{}.gate_up", "layers.{}.down"}) {
      for (const int part : {0, 1, 2}) {
        for (const uint64_t seed : {0, 1, 2}) {
          keys.insert(key_of(layer_name(name, layer), part, seed));
          ++count;
        }
      }
    }
  }
  EXPECT_EQ(keys.size(), static_cast<size_t>(count));
}

TEST(DummyRows, AreRoundedToTheFormat) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kF16, WeightFormat::kBF16}) {
    const WeightPart part{format, 5, 7, nullptr};
    std::vector<std::byte> rows(3 * row_bytes(format, 7));
    write_dummy_rows(part, 11, kDummyScale, 2, rows);
    for (size_t i = 0; i < 21; ++i) {
      const float value = dummy_value(11, 14 + i, kDummyScale);
      const std::byte* at = rows.data() + i * row_bytes(format, 1);
      uint16_t half = 0;
      float whole = 0;
      std::memcpy(&half, at, sizeof half);
      if (format == WeightFormat::kF32) {
        std::memcpy(&whole, at, sizeof whole);
        EXPECT_EQ(whole, value);
      } else {
        EXPECT_EQ(half, format == WeightFormat::kF16 ? f32_to_f16(value) : f32_to_bf16(value));
      }
    }
  }
}

// What a checkpoint of the same configuration has: its names, shapes and plan.
TEST(ConfiguredTensors, AreThoseOfACheckpoint) {
  for (testing::TinyModel m :
       {testing::tiny_qwen3(), testing::tiny_qwen2(), testing::tiny_llama(), testing::tiny_mistral()}) {
    for (const char* dtype : {"bfloat16", "float32", "float16"}) {
      m.dtype = dtype;
      testing::MemoryCheckpoint stored(m);
      const auto tensors = configured_tensors(*stored.checkpoint.config);
      ASSERT_TRUE(tensors);
      ASSERT_EQ((*tensors)->tensors().size(), stored.source->tensors().size());
      for (const TensorInfo& expected : stored.source->tensors()) {
        const TensorInfo* found = (*tensors)->find(expected.name);
        ASSERT_NE(found, nullptr) << expected.name;
        EXPECT_EQ(found->shape, expected.shape);
        EXPECT_EQ(found->dtype_name, expected.dtype_name);
        EXPECT_EQ(found->bytes, expected.bytes);
      }
      EXPECT_FALSE((*tensors)->read((*tensors)->tensors()[0], 0, {}));
    }
  }
}

TEST(FillDummyWeights, MatricesNormsBiasesAndConstants) {
  testing::MemoryCheckpoint c(testing::tiny_llama());
  c.checkpoint.config->torch_dtype = "";  // bfloat16 then
  c.checkpoint.tensors = *configured_tensors(*c.checkpoint.config);
  testing::PlainBackend backend;
  const auto definition = find_model(*c.checkpoint.config);
  const WeightPlan plan = *plan_model(**definition, c.checkpoint, DType::kBF16, backend);
  const Buffer memory = *backend.allocate(plan.bytes);
  std::fill(memory.bytes().begin(), memory.bytes().end(), std::byte{0xee});
  uint64_t last = 0;
  fill_dummy_weights(plan, backend, memory.bytes(), 3, [&](uint64_t done, uint64_t total) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, plan.checkpoint_bytes);
    last = done;
  });
  EXPECT_EQ(last, plan.checkpoint_bytes);
  const WeightMap map(plan, memory.data());
  for (const char* name : {"embedding", "layers.0.qkv", "layers.1.qkv", "layers.1.down"}) {
    const Weight w = map.weight(name);
    ASSERT_EQ(w.num_parts, 1);
    EXPECT_EQ(w.parts[0].format, WeightFormat::kBF16);
    std::vector<std::byte> expected(static_cast<size_t>(w.rows()) * row_bytes(WeightFormat::kBF16, w.cols()));
    write_dummy_rows(w.parts[0], key_of(name, 0, 3), kDummyScale, 0, expected);
    EXPECT_EQ(std::memcmp(w.parts[0].data, expected.data(), expected.size()), 0) << name;
    for (int64_t i = 0; i < w.bias.cols; ++i) ASSERT_EQ(w.bias.row<float>(0)[i], 0.0F);
  }
  EXPECT_GT(map.weight("layers.0.qkv").bias.cols, 0);
  for (const char* name : {"final_norm", "layers.1.post_norm"}) {
    const Tensor norm = map.vector(name);
    for (int64_t i = 0; i < norm.cols; ++i) ASSERT_EQ(norm.row<float>(0)[i], 1.0F);
  }
  EXPECT_EQ(map.vector("rope.inv_freq").row<float>(0)[0], 1.0F);  // theta to the power of 0, then smaller
  EXPECT_LT(map.vector("rope.inv_freq").row<float>(0)[1], 1.0F);
}

}  // namespace
}  // namespace pegainfer

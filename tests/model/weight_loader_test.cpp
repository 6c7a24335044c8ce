// What loading puts into memory, byte by byte.
#include "model/weight_loader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "base/half.h"
#include "memory_checkpoint.h"
#include "model/registry.h"

namespace pegainfer {
namespace {

using testing::MemoryCheckpoint;
using testing::PlainBackend;
using testing::TinyModel;
using testing::TinyTensor;

const TinyTensor& find(const std::vector<TinyTensor>& tensors, const std::string& name) {
  for (const TinyTensor& t : tensors)
    if (t.name == name) return t;
  CHECK(false, "no {}", name);
}

struct Loaded {
  PlainBackend backend;
  WeightPlan plan;
  Buffer memory;
  std::vector<std::pair<uint64_t, uint64_t>> progress;

  Status load(const MemoryCheckpoint& c, DType arithmetic, size_t chunk_bytes) {
    ASSIGN_OR_RETURN(const ModelDefinition* definition, find_model(*c.checkpoint.config));
    ASSIGN_OR_RETURN(plan, plan_model(*definition, c.checkpoint, arithmetic, backend));
    ASSIGN_OR_RETURN(memory, backend.allocate(plan.bytes));
    return load_weights(plan, *c.source, backend, memory.bytes(),
                        {.chunk_bytes = chunk_bytes,
                         .progress = [this](uint64_t a, uint64_t b) { progress.emplace_back(a, b); }});
  }
  [[nodiscard]] WeightMap map() const { return WeightMap(plan, memory.data()); }
};

std::vector<std::byte> bytes_of(const Weight& w) {
  std::vector<std::byte> out;
  for (int i = 0; i < w.num_parts; ++i) {
    const WeightPart& p = w.parts.at(static_cast<size_t>(i));
    out.insert(out.end(), p.data, p.data + static_cast<size_t>(p.rows) * row_bytes(p.format, p.cols));
  }
  return out;
}

std::vector<float> values_of(Tensor t) {
  return {static_cast<const float*>(t.data), static_cast<const float*>(t.data) + t.rows * t.cols};
}

std::vector<float> joined(const std::vector<TinyTensor>& tensors, const std::vector<std::string>& names) {
  std::vector<float> out;
  for (const std::string& name : names) {
    const TinyTensor& t = find(tensors, name);
    out.insert(out.end(), t.values.begin(), t.values.end());
  }
  return out;
}

TEST(LoadWeights, StacksQkvAndGateUpInOrder) {
  TinyModel m = testing::tiny_llama();  // q has 96 rows, k and v 32: chunks of 64 rows cross all borders
  const MemoryCheckpoint c(m);
  const auto tensors = testing::tiny_tensors(m);
  Loaded loaded;
  const Status status = loaded.load(c, DType::kBF16, 1);
  ASSERT_TRUE(status) << status.error().message;
  const std::string a = "model.layers.1.self_attn.";
  const std::string mlp = "model.layers.1.mlp.";
  const Weight& qkv = loaded.map().weight("layers.1.qkv");
  EXPECT_EQ(
      bytes_of(qkv),
      testing::encode_values(joined(tensors, {a + "q_proj.weight", a + "k_proj.weight", a + "v_proj.weight"}),
                             "bfloat16"));
  EXPECT_EQ(values_of(qkv.bias), joined(tensors, {a + "q_proj.bias", a + "k_proj.bias", a + "v_proj.bias"}));
  const Weight& gate_up = loaded.map().weight("layers.1.gate_up");
  EXPECT_EQ(bytes_of(gate_up),
            testing::encode_values(joined(tensors, {mlp + "gate_proj.weight", mlp + "up_proj.weight"}),
                                   "bfloat16"));
  EXPECT_EQ(values_of(gate_up.bias), joined(tensors, {mlp + "gate_proj.bias", mlp + "up_proj.bias"}));
  EXPECT_EQ(values_of(loaded.map().vector("layers.1.post_norm")),
            find(tensors, "model.layers.1.post_attention_layernorm.weight").values);
}

TEST(LoadWeights, EveryWeightWhateverTheChunkSize) {
  const TinyModel m = testing::tiny_qwen2();
  const MemoryCheckpoint c(m);
  Loaded one;
  ASSERT_TRUE(one.load(c, DType::kBF16, size_t{1} << 30U));
  for (const size_t chunk : {size_t{1}, size_t{20000}, size_t{40000}}) {
    Loaded many;
    ASSERT_TRUE(many.load(c, DType::kBF16, chunk));
    ASSERT_EQ(many.memory.size(), one.memory.size());
    EXPECT_EQ(std::memcmp(many.memory.data(), one.memory.data(), one.memory.size()), 0) << chunk;
  }
  EXPECT_EQ(bytes_of(one.map().weight("head")),
            testing::encode_values(find(testing::tiny_tensors(m), "lm_head.weight").values, "bfloat16"));
}

TEST(LoadWeights, ConvertsWideCheckpoints) {
  for (const char* dtype : {"float32", "float16"}) {
    TinyModel m = testing::tiny_qwen3();
    m.dtype = dtype;
    auto tensors = testing::tiny_tensors(m);
    for (float& f : tensors[0].values) f = f16_to_f32(f32_to_f16(f * 1.0009765625F));  // not BF16 numbers
    MemoryCheckpoint c(m);
    c.source->remove(tensors[0].name);
    c.source->add(tensors[0].name, tensors[0].shape, tensors[0].values, dtype);
    Loaded narrow;
    ASSERT_TRUE(narrow.load(c, DType::kBF16, 9000));
    EXPECT_EQ(bytes_of(narrow.map().weight("embedding")),
              testing::encode_values(tensors[0].values, "bfloat16"));
    Loaded exact;
    ASSERT_TRUE(exact.load(c, DType::kF32, 9000));
    EXPECT_EQ(bytes_of(exact.map().weight("embedding")), testing::encode_values(tensors[0].values, dtype));
    EXPECT_EQ(values_of(exact.map().vector("final_norm")), find(tensors, "model.norm.weight").values);
  }
}

// Row r of head h of a GGUF llama file holds dimension (r even ? r / 2 : d / 2 + r / 2).
TEST(LoadWeights, PutsInterleavedRowsBack) {
  TinyModel m = testing::tiny_llama();
  m.head_dim = 24;  // heads that end inside chunks of 64 rows
  MemoryCheckpoint c(m);
  c.checkpoint.config->gguf_rope_permuted = true;
  const auto tensors = testing::tiny_tensors(m);
  for (const char* stem : {"q_proj", "k_proj"}) {
    for (const char* kind : {".weight", ".bias"}) {
      const TinyTensor& t = find(tensors, std::string("model.layers.0.self_attn.") + stem + kind);
      const size_t cols = t.shape.size() == 2 ? static_cast<size_t>(t.shape[1]) : 1;
      std::vector<float> stored(t.values.size());
      for (size_t r = 0; r < t.values.size() / cols; ++r) {
        const size_t head = r / 24;
        const size_t in_head = r % 24;
        const size_t dim = in_head % 2 == 0 ? in_head / 2 : 12 + in_head / 2;
        std::copy_n(t.values.begin() + static_cast<ptrdiff_t>((head * 24 + dim) * cols), cols,
                    stored.begin() + static_cast<ptrdiff_t>(r * cols));
      }
      c.source->remove(t.name);
      c.source->add(t.name, t.shape, stored, m.dtype);
    }
  }
  Loaded loaded;
  ASSERT_TRUE(loaded.load(c, DType::kBF16, 1));
  const std::string a = "model.layers.0.self_attn.";
  const Weight& qkv = loaded.map().weight("layers.0.qkv");
  EXPECT_EQ(
      bytes_of(qkv),
      testing::encode_values(joined(tensors, {a + "q_proj.weight", a + "k_proj.weight", a + "v_proj.weight"}),
                             "bfloat16"));
  EXPECT_EQ(values_of(qkv.bias), joined(tensors, {a + "q_proj.bias", a + "k_proj.bias", a + "v_proj.bias"}));
}

TEST(LoadWeights, ReportsProgressToTheEnd) {
  const MemoryCheckpoint c(testing::tiny_qwen3());
  Loaded loaded;
  ASSERT_TRUE(loaded.load(c, DType::kBF16, 1));
  ASSERT_GT(loaded.progress.size(), 10U);
  uint64_t last = 0;
  for (const auto& [done, total] : loaded.progress) {
    EXPECT_GE(done, last);
    EXPECT_EQ(total, loaded.plan.checkpoint_bytes);
    last = done;
  }
  EXPECT_EQ(last, loaded.plan.checkpoint_bytes);
}

TEST(LoadWeights, AReadThatFailsEndsTheLoad) {
  for (const char* name :
       {"model.embed_tokens.weight", "model.layers.1.mlp.up_proj.weight", "model.norm.weight"}) {
    MemoryCheckpoint c(testing::tiny_qwen3());
    c.source->fail_reads_of(name);
    Loaded loaded;
    const Status status = loaded.load(c, DType::kBF16, 1);
    ASSERT_FALSE(status) << name;
    EXPECT_EQ(status.error().code, Code::kIo);
    EXPECT_THAT(status.error().message, ::testing::HasSubstr(name));
  }
}

}  // namespace
}  // namespace pegainfer

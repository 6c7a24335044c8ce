// The accounting of tensors: each kind of mismatch is an error that names the tensor, what was found and what
// was expected.
#include "model/weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "memory_checkpoint.h"
#include "model/registry.h"

namespace pegainfer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MemoryCheckpoint;
using testing::PlainBackend;
using testing::TinyModel;

Result<WeightPlan> plan(const MemoryCheckpoint& c, DType arithmetic = DType::kBF16,
                        const PlainBackend& backend = {}) {
  ASSIGN_OR_RETURN(const ModelDefinition* definition, find_model(*c.checkpoint.config));
  return plan_model(*definition, c.checkpoint, arithmetic, backend);
}

void expect_error(const Result<WeightPlan>& result, const ::testing::Matcher<std::string>& matcher) {
  ASSERT_FALSE(result.has_value());
  EXPECT_THAT(result.error().message, matcher);
  EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
}

TEST(WeightPlan, TakesEveryTensorOfEachArchitecture) {
  for (const TinyModel& m :
       {testing::tiny_qwen3(), testing::tiny_qwen2(), testing::tiny_llama(), testing::tiny_mistral()}) {
    const MemoryCheckpoint c(m);
    const auto result = plan(c);
    ASSERT_TRUE(result) << m.architecture << ": " << result.error().message;
    uint64_t bytes = 0;
    for (const TensorInfo& t : c.source->tensors()) bytes += t.bytes;
    EXPECT_EQ(result->checkpoint_bytes, bytes);
    EXPECT_EQ(result->weights.size(), 4U * static_cast<size_t>(m.layers) + (m.tied ? 1U : 2U));
    EXPECT_EQ(result->weights.at("layers.1.qkv").bias.size > 0, m.attention_bias);
    EXPECT_EQ(result->weights.at("layers.1.o").bias.size > 0, m.attention_output_bias);
    EXPECT_EQ(result->vectors.contains("layers.1.q_norm"), m.qk_norm);
  }
}

TEST(WeightPlan, MergesTensorsOfOneFormatIntoOnePart) {
  const MemoryCheckpoint c(testing::tiny_qwen3());
  const auto result = plan(c);
  ASSERT_TRUE(result);
  const PlannedWeight& qkv = result->weights.at("layers.0.qkv");
  ASSERT_EQ(qkv.parts.size(), 1U);
  EXPECT_EQ(qkv.parts[0].rows, (4 + 2 + 2) * 32);
  EXPECT_EQ(qkv.parts[0].segments.size(), 3U);
}

TEST(WeightPlan, KeepsFormatsApart) {
  TinyModel m = testing::tiny_qwen3();
  MemoryCheckpoint c(m);
  const std::string v = "model.layers.0.self_attn.v_proj.weight";
  c.source->remove(v);
  c.source->add({.name = v, .format = WeightFormat::kQ8_0, .dtype_name = "Q8_0", .shape = {64, 64}},
                std::vector<std::byte>(64 * row_bytes(WeightFormat::kQ8_0, 64)));
  const auto result = plan(c);
  ASSERT_TRUE(result) << result.error().message;
  const PlannedWeight& qkv = result->weights.at("layers.0.qkv");
  ASSERT_EQ(qkv.parts.size(), 2U);
  EXPECT_EQ(qkv.parts[0].packed, WeightFormat::kBF16);
  EXPECT_EQ(qkv.parts[1].packed, WeightFormat::kQ8_0);
  EXPECT_EQ(qkv.parts[1].rows, 64);
}

TEST(WeightPlan, ArithmeticDecidesWhatWideMatricesBecome) {
  for (const char* dtype : {"float32", "float16"}) {
    TinyModel m = testing::tiny_qwen3();
    m.dtype = dtype;
    const MemoryCheckpoint c(m);
    const auto narrow = plan(c, DType::kBF16);
    const auto exact = plan(c, DType::kF32);
    ASSERT_TRUE(narrow && exact);
    const PlannedPart& part = exact->weights.at("embedding").parts[0];
    EXPECT_EQ(narrow->weights.at("embedding").parts[0].packed, WeightFormat::kBF16);
    EXPECT_EQ(part.packed, part.stored);
  }
}

TEST(WeightPlan, DefaultArithmetic) {
  TinyModel m = testing::tiny_qwen3();
  for (const char* dtype : {"float32", "float16"}) {
    m.dtype = dtype;
    EXPECT_EQ(default_arithmetic(*MemoryCheckpoint(m).checkpoint.tensors), DType::kF32) << dtype;
  }
  m.dtype = "bfloat16";
  EXPECT_EQ(default_arithmetic(*MemoryCheckpoint(m).checkpoint.tensors), DType::kBF16);
}

TEST(WeightPlan, MissingTensor) {
  MemoryCheckpoint c(testing::tiny_qwen3());
  c.source->remove("model.layers.1.mlp.down_proj.weight");
  expect_error(plan(c), AllOf(HasSubstr("model.layers.1.mlp.down_proj.weight"), HasSubstr("missing"),
                              HasSubstr("[64, 96]"), HasSubstr("Qwen3ForCausalLM")));
}

TEST(WeightPlan, MissingHeadWhenNotTied) {
  MemoryCheckpoint c(testing::tiny_mistral());
  c.source->remove("lm_head.weight");
  expect_error(plan(c), AllOf(HasSubstr("lm_head.weight"), HasSubstr("missing")));
}

TEST(WeightPlan, SurplusTensors) {
  MemoryCheckpoint c(testing::tiny_qwen3());
  c.source->add("model.layers.2.mlp.up_proj.weight", {2, 3}, std::vector<float>(6), "bfloat16");
  expect_error(plan(c),
               AllOf(HasSubstr("model.layers.2.mlp.up_proj.weight BF16 [2, 3]"), HasSubstr("2 layers")));
  c.source->add("adapter.weight", {1}, {0}, "bfloat16");
  expect_error(plan(c), HasSubstr("and 1 more"));
}

TEST(WeightPlan, ABiasTheConfigurationDoesNotKnowIsSurplus) {
  MemoryCheckpoint c(testing::tiny_qwen3());
  c.source->add("model.layers.0.self_attn.q_proj.bias", {128}, std::vector<float>(128), "bfloat16");
  expect_error(plan(c), HasSubstr("model.layers.0.self_attn.q_proj.bias"));
}

TEST(WeightPlan, CachesOfTheConfigurationAreHarmless) {
  MemoryCheckpoint c(testing::tiny_qwen3());
  c.source->add("model.layers.0.self_attn.rotary_emb.inv_freq", {16}, std::vector<float>(16), "float32");
  c.source->add("model.rotary_emb.inv_freq", {16}, std::vector<float>(16), "float32");
  EXPECT_TRUE(plan(c));
}

TEST(WeightPlan, WrongShape) {
  MemoryCheckpoint c(testing::tiny_qwen3());
  c.source->info("model.layers.0.self_attn.k_proj.weight").shape = {32, 64};
  expect_error(plan(c), AllOf(HasSubstr("model.layers.0.self_attn.k_proj.weight"), HasSubstr("[32, 64]"),
                              HasSubstr("[64, 64]")));
  MemoryCheckpoint one(testing::tiny_qwen3());
  one.source->info("model.norm.weight").shape = {1, 64};
  expect_error(plan(one), AllOf(HasSubstr("model.norm.weight"), HasSubstr("[1, 64]"), HasSubstr("[64]")));
}

TEST(WeightPlan, UnsupportedDtype) {
  MemoryCheckpoint c(testing::tiny_qwen3());
  TensorInfo& t = c.source->info("model.layers.0.mlp.up_proj.weight");
  t.supported = false;
  t.dtype_name = "F8_E4M3";
  expect_error(plan(c), AllOf(HasSubstr("model.layers.0.mlp.up_proj.weight"), HasSubstr("F8_E4M3")));
}

TEST(WeightPlan, QuantizedNorm) {
  MemoryCheckpoint c(testing::tiny_qwen3());
  TensorInfo& t = c.source->info("model.norm.weight");
  t.format = WeightFormat::kQ8_0;
  t.dtype_name = "Q8_0";
  expect_error(plan(c), AllOf(HasSubstr("model.norm.weight"), HasSubstr("Q8_0"), HasSubstr("F32")));
}

TEST(WeightPlan, AFormatTheBackendCannotPack) {
  const MemoryCheckpoint c(testing::tiny_qwen3());
  PlainBackend backend;
  backend.refused = {WeightFormat::kBF16};
  expect_error(plan(c, DType::kBF16, backend),
               AllOf(HasSubstr("model.embed_tokens.weight"), HasSubstr("BF16")));
}

TEST(WeightPlan, ATiedHeadMayBeStoredTwiceWhenItIsTheSame) {
  MemoryCheckpoint same(testing::tiny_qwen3());
  const auto tensors = testing::tiny_tensors(testing::tiny_qwen3());
  same.source->add("lm_head.weight", tensors[0].shape, tensors[0].values, "bfloat16");
  const auto result = plan(same);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_FALSE(result->weights.contains("head"));

  MemoryCheckpoint other(testing::tiny_qwen3());
  std::vector<float> values = tensors[0].values;
  values.back() += 1;
  other.source->add("lm_head.weight", tensors[0].shape, values, "bfloat16");
  expect_error(plan(other),
               AllOf(HasSubstr("lm_head.weight"), HasSubstr("values"), HasSubstr("tie_word_embeddings")));

  MemoryCheckpoint shape(testing::tiny_qwen3());
  shape.source->add("lm_head.weight", {1, 64}, std::vector<float>(64), "bfloat16");
  expect_error(plan(shape), HasSubstr("shape"));
}

TEST(Registry, RefusesWhatAnArchitectureDoesNotKnow) {
  const auto refuse = [](TinyModel m, const char* what) {
    expect_error(plan(MemoryCheckpoint(m)), HasSubstr(what));
  };
  TinyModel m = testing::tiny_llama();
  m.window = 8;
  refuse(m, "sliding window");
  m = testing::tiny_qwen3();
  m.qk_norm = false;
  refuse(m, "normalises queries");
  m = testing::tiny_qwen2();
  m.attention_bias = false;
  refuse(m, "bias on q, k and v");
  m = testing::tiny_mistral();
  m.mlp_bias = true;
  refuse(m, "no biases");
}

TEST(Registry, NamesWhatIsSupported) {
  ModelConfig config;
  config.architecture = static_cast<Architecture>(99);
  config.architecture_name = "MambaForCausalLM";
  const auto found = find_model(config);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Code::kUnsupported);
  EXPECT_THAT(found.error().message,
              AllOf(HasSubstr("MambaForCausalLM"), HasSubstr("Llama, Mistral, Qwen2, Qwen3")));
}

}  // namespace
}  // namespace pegainfer

// GGUF metadata -> ModelConfig, vocabulary, sampling defaults.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "checkpoint/checkpoint.h"
#include "checkpoint/config.h"
#include "support/checkpoint_files.h"

namespace pegainfer {
namespace {

using ::testing::ElementsAre;
using testing::Folder;
using testing::GgufWriter;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::little_endian;
using testing::tiny_llama_gguf;

constexpr uint32_t kF32 = 0;

Result<Checkpoint> open(const GgufWriter& w) {
  const Folder folder;
  return Checkpoint::open(folder.write("m.gguf", w.bytes()), {});
}
ModelConfig opened(const GgufWriter& w) {
  auto c = open(w);
  EXPECT_TRUE(c.has_value()) << (c ? "" : c.error().message);
  return c ? *c->config : ModelConfig{};
}
std::string error_of(const GgufWriter& w) {
  const auto c = open(w);
  return c ? std::string("accepted") : c.error().message;
}
std::string zeros(size_t n) { return std::string(n, '\0'); }

TEST(GgufConfig, TinyLlama) {
  const auto c = open(tiny_llama_gguf());
  ASSERT_TRUE(c.has_value()) << c.error().message;
  EXPECT_EQ(c->kind, CheckpointKind::kGguf);
  const ModelConfig& m = *c->config;
  EXPECT_EQ(m.architecture, Architecture::kLlama);
  EXPECT_EQ(m.architecture_name, "llama");
  EXPECT_TRUE(m.gguf_rope_permuted);
  EXPECT_EQ(m.num_layers, 1);
  EXPECT_EQ(m.max_position_embeddings, 64);
  EXPECT_EQ(m.hidden_size, 8);
  EXPECT_EQ(m.intermediate_size, 16);
  EXPECT_EQ(m.num_heads, 2);
  EXPECT_EQ(m.num_kv_heads, 1);
  EXPECT_EQ(m.head_dim, 4);
  EXPECT_EQ(m.vocab_size, 8);
  EXPECT_EQ(m.rms_norm_eps, 1e-5F);
  EXPECT_EQ(m.rope.type, RopeType::kDefault);
  EXPECT_EQ(m.rope.theta, 10000.0);
  EXPECT_THAT(m.rope.freq_factors, IsEmpty());
  EXPECT_TRUE(m.tie_word_embeddings);
  EXPECT_FALSE(m.attention_bias || m.attention_output_bias || m.mlp_bias || m.qk_norm);
  EXPECT_THAT(c->eos_token_ids, ElementsAre(7));
  EXPECT_THAT(c->gguf_vocab->tokens, ElementsAre("a", "b", "c", "d", "e", "f", "g", "h"));
  EXPECT_EQ(c->tensors->tensors().size(), 11U);
}

TEST(GgufConfig, TheOtherArchitectures) {
  for (const auto& [name, architecture] :
       {std::pair("qwen2", Architecture::kQwen2), std::pair("qwen3", Architecture::kQwen3)}) {
    GgufWriter w;
    const std::string p = std::string(name) + ".";
    w.text("general.architecture", name).u32(p + "block_count", 2).u32(p + "context_length", 77);
    w.u32(p + "embedding_length", 12).u32(p + "feed_forward_length", 20).u32(p + "attention.head_count", 3);
    w.u32(p + "attention.head_count_kv", 1)
        .u32(p + "attention.key_length", 6)
        .u32(p + "attention.value_length", 6);
    w.f32(p + "attention.layer_norm_rms_epsilon", 1e-6F).f32(p + "rope.freq_base", 1e6F);
    w.u32(p + "rope.dimension_count", 6).u32(p + "vocab_size", 4).u32("general.file_type", 1);
    w.text("tokenizer.ggml.model", "gpt2").strings("tokenizer.ggml.tokens", {"a", "b"});
    w.tensor("token_embd.weight", kF32, {12, 4}, zeros(192))
        .tensor("output.weight", kF32, {12, 4}, zeros(192));
    const ModelConfig c = opened(w);
    EXPECT_EQ(c.architecture, architecture);
    EXPECT_FALSE(c.gguf_rope_permuted);
    EXPECT_EQ(c.head_dim, 6);
    EXPECT_EQ(c.num_heads, 3);
    EXPECT_EQ(c.rope.theta, 1e6);
    EXPECT_EQ(c.vocab_size, 4);
    EXPECT_FALSE(c.tie_word_embeddings);
    EXPECT_EQ(c.attention_bias, architecture == Architecture::kQwen2);
    EXPECT_EQ(c.qk_norm, architecture == Architecture::kQwen3);
    EXPECT_EQ(c.torch_dtype, "float16");
  }
}

TEST(GgufConfig, MissingKeysAreNamed) {
  for (const std::string_view key :
       {"general.architecture", "llama.block_count", "llama.context_length", "llama.embedding_length",
        "llama.feed_forward_length", "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon",
        "tokenizer.ggml.model", "tokenizer.ggml.tokens"}) {
    EXPECT_THAT(error_of(tiny_llama_gguf(key)), HasSubstr(std::string(key))) << key;
  }
  EXPECT_EQ(opened(tiny_llama_gguf("llama.attention.head_count_kv")).num_kv_heads, 2);
}

TEST(GgufConfig, BiasesAndHeadsShowInTheTensors) {
  GgufWriter w = tiny_llama_gguf();
  w.tensor("blk.0.attn_q.bias", kF32, {8}, zeros(32)).tensor("blk.0.attn_output.bias", kF32, {8}, zeros(32));
  w.tensor("blk.0.ffn_up.bias", kF32, {16}, zeros(64)).tensor("output.weight", kF32, {8, 8}, zeros(256));
  const ModelConfig c = opened(w);
  EXPECT_TRUE(c.attention_bias && c.attention_output_bias && c.mlp_bias);
  EXPECT_FALSE(c.tie_word_embeddings);
}

TEST(GgufConfig, Rope) {
  const RopeConfig linear = opened(tiny_llama_gguf().f32("llama.rope.scaling.factor", 4)).rope;
  EXPECT_EQ(linear.type, RopeType::kLinear);  // the type that a factor alone means
  EXPECT_EQ(linear.factor, 4.0);
  EXPECT_EQ(opened(tiny_llama_gguf().f32("llama.rope.scale_linear", 2)).rope.factor, 2.0);
  const RopeConfig none =
      opened(tiny_llama_gguf().text("llama.rope.scaling.type", "none").f32("llama.rope.scaling.factor", 4))
          .rope;
  EXPECT_EQ(none.type, RopeType::kDefault);

  GgufWriter w = tiny_llama_gguf();
  w.text("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 4);
  const RopeConfig plain = opened(w).rope;
  EXPECT_EQ(plain.type, RopeType::kYarn);
  EXPECT_EQ(plain.original_max_position_embeddings, 64);
  EXPECT_EQ(plain.attention_factor, std::nullopt);
  EXPECT_EQ(plain.beta_fast, 32);
  w.u32("llama.rope.scaling.original_context_length", 16).f32("llama.rope.scaling.attn_factor", 0.5F);
  w.f32("llama.rope.scaling.yarn_beta_fast", 8).f32("llama.rope.scaling.yarn_beta_slow", 2);
  const RopeConfig yarn = opened(w).rope;
  EXPECT_EQ(yarn.original_max_position_embeddings, 16);
  EXPECT_DOUBLE_EQ(yarn.attention_factor.value(), 0.5 * (0.1 * std::log(4.0) + 1.0));
  EXPECT_EQ(yarn.beta_fast, 8);
  EXPECT_EQ(yarn.beta_slow, 2);
}

TEST(GgufConfig, FrequencyDivisors) {
  const auto with = [](const std::vector<float>& values) {
    std::string data;
    for (const float v : values) data += little_endian(v);
    return tiny_llama_gguf().tensor("rope_freqs.weight", kF32, {static_cast<int64_t>(values.size())}, data);
  };
  EXPECT_THAT(opened(with({1.0F, 8.0F})).rope.freq_factors, ElementsAre(1.0F, 8.0F));
  EXPECT_THAT(error_of(with({1.0F, 8.0F, 8.0F})), HasSubstr("rope_freqs.weight"));
  EXPECT_THAT(error_of(with({1.0F, 0.0F})), HasSubstr("rope_freqs.weight"));
  EXPECT_THAT(error_of(with({1.0F, std::numeric_limits<float>::quiet_NaN()})),
              HasSubstr("rope_freqs.weight"));
}

TEST(GgufConfig, ListsPerLayerThatAgree) {
  EXPECT_EQ(opened(tiny_llama_gguf("llama.feed_forward_length").i32s("llama.feed_forward_length", {16, 16}))
                .intermediate_size,
            16);
  EXPECT_THAT(
      error_of(tiny_llama_gguf("llama.feed_forward_length").i32s("llama.feed_forward_length", {16, 8})),
      HasSubstr("differs between layers"));
  EXPECT_THAT(error_of(tiny_llama_gguf("llama.feed_forward_length").i32s("llama.feed_forward_length", {-16})),
              HasSubstr("feed_forward_length"));
  EXPECT_THAT(error_of(tiny_llama_gguf("llama.feed_forward_length").i32s("llama.feed_forward_length", {})),
              HasSubstr("feed_forward_length"));
}

TEST(GgufConfig, WhatWouldChangeTheResultIsRefused) {
  const GgufWriter t = tiny_llama_gguf();
  const auto with = [&](auto change) {
    GgufWriter w = t;
    change(w);
    return error_of(w);
  };
  using W = GgufWriter;
  EXPECT_THAT(with([](W& w) { w.u32("llama.expert_count", 8); }), HasSubstr("llama.expert_count is 8"));
  EXPECT_THAT(with([](W& w) { w.f32("llama.logit_scale", 2); }),
              HasSubstr("llama.logit_scale is not supported"));
  EXPECT_THAT(with([](W& w) { w.f32("llama.final_logit_softcapping", 30); }), HasSubstr("softcapping"));
  EXPECT_THAT(with([](W& w) { w.u32("llama.unheard_of", 1); }),
              HasSubstr("llama.unheard_of is not supported"));
  EXPECT_THAT(with([](W& w) { w.u32("llama.rope.dimension_count", 2); }),
              HasSubstr("rope.dimension_count is 2"));
  EXPECT_THAT(with([](W& w) { w.u32("llama.attention.value_length", 8); }), HasSubstr("value_length is 8"));
  EXPECT_THAT(with([](W& w) { w.boolean("llama.attention.causal", 0); }), HasSubstr("attention.causal"));
  EXPECT_THAT(with([](W& w) { w.boolean("llama.use_parallel_residual", 1); }),
              HasSubstr("use_parallel_residual"));
  EXPECT_THAT(with([](W& w) { w.text("llama.rope.scaling.type", "longrope"); }),
              HasSubstr("none, linear and yarn"));
  EXPECT_THAT(with([](W& w) { w.f32("llama.rope.scaling.attn_factor", 2); }), HasSubstr("attn_factor is 2"));
  EXPECT_THAT(with([](W& w) { w.tensor("rope_factors_long.weight", kF32, {2}, zeros(8)); }),
              HasSubstr("longrope"));
  EXPECT_THAT(with([](W& w) { w.u32("split.count", 3); }), HasSubstr("one of 3 parts"));
  EXPECT_THAT(with([](W& w) { w.u32("llama.vocab_size", 9); }), HasSubstr("vocab_size is 9"));
  // What says nothing about the result passes.
  GgufWriter fine = t;
  fine.u32("llama.expert_count", 0)
      .boolean("llama.rope.scaling.finetuned", 1)
      .u32("general.quantization_version", 2);
  fine.u32("qwen2.unheard_of", 1).text("llama.tensor_data_layout", "Meta AI original pth");
  EXPECT_EQ(opened(fine).hidden_size, 8);
}

TEST(GgufConfig, SlidingWindowKey) {
  EXPECT_EQ(opened(tiny_llama_gguf().u32("llama.attention.sliding_window", 32)).sliding_window, 32);
}

TEST(GgufConfig, ArchitecturesThatAreNotSupportedListThoseThatAre) {
  GgufWriter w = tiny_llama_gguf("general.architecture");
  w.text("general.architecture", "gemma3");
  const auto c = open(w);
  ASSERT_FALSE(c.has_value());
  EXPECT_EQ(c.error().code, Code::kUnsupported);
  EXPECT_THAT(c.error().message,
              HasSubstr("\"gemma3\" is not supported; supported in GGUF are llama, qwen2, qwen3"));
}

TEST(GgufConfig, ValuesOutOfBounds) {
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, uint32_t>>{{"llama.block_count", 0},
                                                     {"llama.block_count", ~0U},
                                                     {"llama.embedding_length", 0},
                                                     {"llama.embedding_length", 7},
                                                     {"llama.attention.head_count", 0},
                                                     {"llama.attention.head_count", 3},
                                                     {"llama.attention.head_count_kv", 0},
                                                     {"llama.context_length", 0},
                                                     {"llama.feed_forward_length", 0}}) {
    GgufWriter w = tiny_llama_gguf(key);
    w.u32(key, value);
    EXPECT_NE(error_of(w), "accepted") << key << " " << value;
  }
  EXPECT_THAT(error_of(tiny_llama_gguf("llama.block_count").text("llama.block_count", "1")),
              HasSubstr("\"llama.block_count\" is a string, expected an integer"));
  EXPECT_THAT(error_of(tiny_llama_gguf("llama.block_count").u64("llama.block_count", ~uint64_t{0})),
              HasSubstr("llama.block_count"));
  EXPECT_THAT(error_of(tiny_llama_gguf().f32("llama.rope.freq_base", std::numeric_limits<float>::infinity())),
              HasSubstr("not finite"));
  EXPECT_THAT(error_of(tiny_llama_gguf("tokenizer.ggml.eos_token_id").u32("tokenizer.ggml.eos_token_id", 8)),
              HasSubstr("eos_token_id is 8"));
}

// ---------- vocabulary and sampling ----------

TEST(GgufVocab, EveryField) {
  GgufWriter w = tiny_llama_gguf("tokenizer.ggml.tokens");
  w.strings("tokenizer.ggml.tokens", {"a", "b", "ab"}).text("tokenizer.ggml.pre", "smollm");
  w.f32s("tokenizer.ggml.scores", {0.5F, -1.0F, -2.0F}).i32s("tokenizer.ggml.token_type", {1, 3, 6});
  w.strings("tokenizer.ggml.merges", {"a b"}).u32("tokenizer.ggml.bos_token_id", 1);
  w.u32("tokenizer.ggml.unknown_token_id", 0).u32("tokenizer.ggml.padding_token_id", ~0U);
  w.boolean("tokenizer.ggml.add_bos_token", 1).boolean("tokenizer.ggml.add_space_prefix", 0);
  w.text("tokenizer.chat_template", "{{ x }}");
  const Folder folder;
  auto file = File::open(folder.write("m.gguf", w.bytes()));
  auto gguf = read_gguf(*file);
  ASSERT_TRUE(gguf.has_value());
  // Its end-of-sequence id, 7, is past the three tokens.
  EXPECT_THAT(take_gguf_vocab(gguf->metadata).error().message,
              HasSubstr("eos_token_id is 7, but there are 3"));

  GgufWriter good = tiny_llama_gguf();
  good.text("tokenizer.ggml.pre", "smollm").f32s("tokenizer.ggml.scores", std::vector<float>(8, 0.5F));
  good.i32s("tokenizer.ggml.token_type", {1, 1, 1, 1, 1, 1, 6, 3})
      .strings("tokenizer.ggml.merges", {"a b", "c d"});
  good.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.padding_token_id", ~0U);
  good.u32("tokenizer.ggml.unknown_token_id", 2).u32("tokenizer.ggml.eot_token_id", 6);
  good.boolean("tokenizer.ggml.add_bos_token", 1).boolean("tokenizer.ggml.add_space_prefix", 0);
  good.text("tokenizer.chat_template", "{{ x }}");
  const auto c = open(good);
  ASSERT_TRUE(c.has_value()) << c.error().message;
  const GgufVocab& v = *c->gguf_vocab;
  EXPECT_EQ(v.model, "gpt2");
  EXPECT_EQ(v.pre, "smollm");
  EXPECT_EQ(v.scores.at(7), 0.5F);
  EXPECT_THAT(v.token_types, ElementsAre(1, 1, 1, 1, 1, 1, 6, 3));
  EXPECT_THAT(v.merges, ElementsAre("a b", "c d"));
  EXPECT_EQ(v.bos_id, 1);
  EXPECT_EQ(v.eos_id, 7);
  EXPECT_EQ(v.unk_id, 2);
  EXPECT_EQ(v.pad_id, std::nullopt);  // an unsigned -1
  EXPECT_EQ(v.add_bos, true);
  EXPECT_EQ(v.add_eos, std::nullopt);
  EXPECT_EQ(v.add_space_prefix, false);
  EXPECT_EQ(c->chat_template, "{{ x }}");
  EXPECT_THAT(c->eos_token_ids, ElementsAre(6, 7));
}

TEST(GgufVocab, ListsOfOtherLengthsOrKindsAreRefused) {
  EXPECT_THAT(error_of(tiny_llama_gguf().f32s("tokenizer.ggml.scores", {1.0F})), HasSubstr("has 1 entries"));
  EXPECT_THAT(error_of(tiny_llama_gguf().i32s("tokenizer.ggml.token_type", {1, 2})),
              HasSubstr("has 2 entries"));
  EXPECT_THAT(error_of(tiny_llama_gguf().strings("tokenizer.ggml.scores", {"x"})),
              HasSubstr("array of numbers"));
  EXPECT_THAT(error_of(tiny_llama_gguf().i32s("tokenizer.ggml.merges", {1})), HasSubstr("array of strings"));
  EXPECT_THAT(error_of(tiny_llama_gguf().u32("tokenizer.ggml.add_bos_token", 1)), HasSubstr("a boolean"));
  EXPECT_THAT(error_of(tiny_llama_gguf("tokenizer.ggml.tokens")
                           .strings("tokenizer.ggml.tokens", std::vector<std::string>(9, "x"))),
              HasSubstr("9 tokens, but the embedding has 8 rows"));
}

TEST(GgufGeneration, SamplingKeys) {
  GgufWriter w = tiny_llama_gguf();
  w.f32("general.sampling.temp", 0.5F).f32("general.sampling.top_p", 0.25F).i32("general.sampling.top_k", 40);
  w.f32("general.sampling.min_p", 0.125F).f32("general.sampling.penalty_repeat", 1.5F);
  const auto c = open(w);
  ASSERT_TRUE(c.has_value()) << c.error().message;
  EXPECT_EQ(c->generation.temperature, 0.5);
  EXPECT_EQ(c->generation.top_p, 0.25);
  EXPECT_EQ(c->generation.min_p, 0.125);
  EXPECT_EQ(c->generation.top_k, 40);
  EXPECT_EQ(c->generation.repetition_penalty, 1.5);
  EXPECT_THAT(error_of(tiny_llama_gguf().f32("general.sampling.top_p", 1.5F)), HasSubstr("top_p is 1.5"));
  EXPECT_THAT(error_of(tiny_llama_gguf().i32("general.sampling.top_k", -2)), HasSubstr("top_k is -2"));
}

TEST(GgufConfig, TypesThatCannotBeComputedWithNameTensorAndType) {
  constexpr uint32_t kIq3S = 21;
  GgufWriter w = tiny_llama_gguf();
  w.tensor("blk.0.odd.weight", kIq3S, {256, 1}, zeros(110));
  EXPECT_THAT(error_of(w),
              HasSubstr("tensor \"blk.0.odd.weight\" is of type IQ3_S, supported are F32 F16 BF16"));
  EXPECT_EQ(open(w).error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace pegainfer

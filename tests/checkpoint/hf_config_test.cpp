// config.json: both schemas, the defaults of transformers' classes, and what is refused.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "checkpoint/config.h"

namespace pegainfer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Result<ModelConfig> parse(std::string_view text) { return parse_hf_config(text, "m/config.json"); }

// A config.json of the architecture with the given further fields ("" or `"key":value,...`).
std::string config(std::string_view architecture, std::string_view fields = "") {
  return fmt::format(R"({{"architectures":["{}"]{}{}}})", architecture, fields.empty() ? "" : ",", fields);
}
ModelConfig parsed(std::string_view text) {
  auto c = parse(text);
  EXPECT_TRUE(c.has_value()) << (c ? "" : c.error().message) << " in " << text;
  return c ? *c : ModelConfig{};
}
std::string error_of(std::string_view text) {
  const auto c = parse(text);
  return c ? std::string("accepted") : c.error().message;
}

TEST(HfConfig, DefaultsAreThoseOfTheClasses) {
  struct Case {
    std::string_view name;
    Architecture architecture;
    int vocab, intermediate, kv_heads, context, window;
    bool attention_bias, qk_norm;
  };
  const std::vector<Case> cases{
      {"LlamaForCausalLM", Architecture::kLlama, 32000, 11008, 32, 2048, 0, false, false},
      {"MistralForCausalLM", Architecture::kMistral, 32000, 14336, 8, 131072, 4096, false, false},
      {"Qwen2ForCausalLM", Architecture::kQwen2, 151936, 22016, 32, 32768, 0, true, false},
      {"Qwen3ForCausalLM", Architecture::kQwen3, 151936, 22016, 32, 32768, 0, false, true},
  };
  for (const Case& want : cases) {
    SCOPED_TRACE(want.name);
    const ModelConfig c = parsed(config(want.name));
    EXPECT_EQ(c.architecture, want.architecture);
    EXPECT_EQ(c.architecture_name, want.name);
    EXPECT_EQ(c.vocab_size, want.vocab);
    EXPECT_EQ(c.hidden_size, 4096);
    EXPECT_EQ(c.intermediate_size, want.intermediate);
    EXPECT_EQ(c.num_layers, 32);
    EXPECT_EQ(c.num_heads, 32);
    EXPECT_EQ(c.num_kv_heads, want.kv_heads);
    EXPECT_EQ(c.head_dim, 128);
    EXPECT_EQ(c.max_position_embeddings, want.context);
    EXPECT_EQ(c.rms_norm_eps, 1e-6F);
    EXPECT_EQ(c.rope.type, RopeType::kDefault);
    EXPECT_EQ(c.rope.theta, 10000.0);
    EXPECT_EQ(c.sliding_window, want.window);
    EXPECT_FALSE(c.tie_word_embeddings);
    EXPECT_EQ(c.attention_bias, want.attention_bias);
    EXPECT_FALSE(c.attention_output_bias);
    EXPECT_FALSE(c.mlp_bias);
    EXPECT_EQ(c.qk_norm, want.qk_norm);
    EXPECT_EQ(c.torch_dtype, "");
    EXPECT_FALSE(c.gguf_rope_permuted);
  }
}

// A field of its own value each, so that none can be taken for another.
TEST(HfConfig, ReadsEveryDimension) {
  const ModelConfig c = parsed(config("LlamaForCausalLM", R"("hidden_size":96,"num_hidden_layers":5,
      "num_attention_heads":6,"num_key_value_heads":3,"head_dim":24,"intermediate_size":200,"vocab_size":777,
      "max_position_embeddings":4321,"rms_norm_eps":1e-5,"tie_word_embeddings":true,"rope_theta":500000.0,
      "attention_bias":true,"mlp_bias":true,"torch_dtype":"bfloat16","bos_token_id":1,"eos_token_id":[2,5])"));
  EXPECT_EQ(c.hidden_size, 96);
  EXPECT_EQ(c.num_layers, 5);
  EXPECT_EQ(c.num_heads, 6);
  EXPECT_EQ(c.num_kv_heads, 3);
  EXPECT_EQ(c.head_dim, 24);
  EXPECT_EQ(c.intermediate_size, 200);
  EXPECT_EQ(c.vocab_size, 777);
  EXPECT_EQ(c.max_position_embeddings, 4321);
  EXPECT_EQ(c.rms_norm_eps, 1e-5F);
  EXPECT_EQ(c.rope.theta, 500000.0);
  EXPECT_TRUE(c.tie_word_embeddings && c.attention_bias && c.attention_output_bias && c.mlp_bias);
  EXPECT_EQ(c.torch_dtype, "bfloat16");
  EXPECT_THAT(c.eos_token_ids, ElementsAre(2, 5));
  EXPECT_THAT(c.bos_token_ids, ElementsAre(1));
}

TEST(HfConfig, NullIsNotAMissingField) {
  EXPECT_EQ(parsed(config("MistralForCausalLM", R"("num_key_value_heads":null)")).num_kv_heads, 32);
  EXPECT_EQ(parsed(config("Qwen2ForCausalLM", R"("num_attention_heads":16,"num_key_value_heads":null)"))
                .num_kv_heads,
            16);
  EXPECT_EQ(parsed(config("MistralForCausalLM", R"("sliding_window":null)")).sliding_window, 0);
  EXPECT_EQ(parsed(config("LlamaForCausalLM", R"("hidden_size":1024,"head_dim":null)")).head_dim, 32);
  EXPECT_EQ(parsed(config("Qwen3ForCausalLM", R"("hidden_size":1024)")).head_dim, 128);
  EXPECT_THAT(parsed(config("LlamaForCausalLM", R"("eos_token_id":null)")).eos_token_ids, IsEmpty());
}

TEST(HfConfig, BiasesByArchitecture) {
  const ModelConfig qwen3 = parsed(config("Qwen3ForCausalLM", R"("attention_bias":true)"));
  EXPECT_TRUE(qwen3.attention_bias && qwen3.attention_output_bias && !qwen3.mlp_bias);
  const ModelConfig qwen2 = parsed(config("Qwen2ForCausalLM", R"("attention_bias":false)"));
  EXPECT_TRUE(qwen2.attention_bias && !qwen2.attention_output_bias);
  EXPECT_THAT(error_of(config("MistralForCausalLM", R"("attention_bias":true)")),
              HasSubstr("attention_bias"));
  EXPECT_THAT(error_of(config("Qwen3ForCausalLM", R"("mlp_bias":true)")), HasSubstr("mlp_bias"));
}

TEST(HfConfig, SlidingWindows) {
  const std::string qwen = R"("num_hidden_layers":4,"sliding_window":64,"max_window_layers":1,)";
  const ModelConfig off = parsed(config("Qwen2ForCausalLM", qwen + R"("use_sliding_window":false)"));
  EXPECT_EQ(off.sliding_window, 0);
  EXPECT_THAT(off.layer_uses_window, IsEmpty());
  const ModelConfig some = parsed(config("Qwen2ForCausalLM", qwen + R"("use_sliding_window":true)"));
  EXPECT_EQ(some.sliding_window, 64);
  EXPECT_THAT(some.layer_uses_window, ElementsAre(false, true, true, true));
  const ModelConfig all = parsed(
      config("Qwen3ForCausalLM",
             R"("num_hidden_layers":2,"sliding_window":64,"max_window_layers":0,"use_sliding_window":true)"));
  EXPECT_EQ(all.sliding_window, 64);
  EXPECT_THAT(all.layer_uses_window, IsEmpty());
  const ModelConfig none = parsed(
      config("Qwen3ForCausalLM", R"("num_hidden_layers":2,"sliding_window":64,"use_sliding_window":true)"));
  EXPECT_EQ(none.sliding_window, 0);  // max_window_layers is 28: no layer slides
  const ModelConfig listed = parsed(config("Qwen2ForCausalLM", R"("num_hidden_layers":2,"sliding_window":64,
      "use_sliding_window":true,"layer_types":["sliding_attention","full_attention"])"));
  EXPECT_EQ(listed.sliding_window, 64);
  EXPECT_THAT(listed.layer_uses_window, ElementsAre(true, false));
  const ModelConfig mistral = parsed(config("MistralForCausalLM", R"("sliding_window":128)"));
  EXPECT_EQ(mistral.sliding_window, 128);
  EXPECT_THAT(mistral.layer_uses_window, IsEmpty());
}

TEST(HfConfig, SlidingWindowsThatMakeNoSense) {
  const std::string two = R"("num_hidden_layers":2,"layer_types":["sliding_attention","full_attention"])";
  EXPECT_THAT(error_of(config("Qwen2ForCausalLM", two)), HasSubstr("no sliding window in use"));
  EXPECT_THAT(error_of(config("MistralForCausalLM", two)), HasSubstr("layer_types"));
  EXPECT_THAT(error_of(config("LlamaForCausalLM", two)), HasSubstr("Llama has no sliding window"));
  EXPECT_THAT(
      error_of(config("Qwen3ForCausalLM", R"("num_hidden_layers":2,"layer_types":["full_attention"])")),
      HasSubstr("layer_types"));
  EXPECT_THAT(
      error_of(config("Qwen3ForCausalLM", R"("num_hidden_layers":1,"layer_types":["chunked_attention"])")),
      HasSubstr("chunked_attention"));
  EXPECT_THAT(error_of(config("MistralForCausalLM", R"("sliding_window":0)")),
              HasSubstr("sliding_window is 0"));
  EXPECT_THAT(error_of(config("MistralForCausalLM", R"("sliding_window":-1)")),
              HasSubstr("sliding_window is -1"));
}

// ---------- RoPE, in both schemas ----------

void expect_same_rope(const RopeConfig& a, const RopeConfig& b) {
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.theta, b.theta);
  EXPECT_EQ(a.factor, b.factor);
  EXPECT_EQ(a.low_freq_factor, b.low_freq_factor);
  EXPECT_EQ(a.high_freq_factor, b.high_freq_factor);
  EXPECT_EQ(a.original_max_position_embeddings, b.original_max_position_embeddings);
  EXPECT_EQ(a.beta_fast, b.beta_fast);
  EXPECT_EQ(a.beta_slow, b.beta_slow);
  EXPECT_EQ(a.attention_factor, b.attention_factor);
  EXPECT_EQ(a.mscale, b.mscale);
  EXPECT_EQ(a.mscale_all_dim, b.mscale_all_dim);
  EXPECT_EQ(a.truncate, b.truncate);
}

RopeConfig rope_of(std::string_view fields) { return parsed(config("LlamaForCausalLM", fields)).rope; }

TEST(HfRope, BothSchemasSayTheSame) {
  const std::vector<std::string> ropes{
      R"("rope_type":"default")",
      R"("rope_type":"linear","factor":4.0)",
      R"("rope_type":"llama3","factor":8.0,"low_freq_factor":1.5,"high_freq_factor":4.5,
         "original_max_position_embeddings":8192)",
      R"("rope_type":"yarn","factor":4.0,"original_max_position_embeddings":256)",
      R"("rope_type":"yarn","factor":4.0,"original_max_position_embeddings":256,"attention_factor":1.25,
         "beta_fast":16,"beta_slow":2,"mscale":0.707,"mscale_all_dim":0.5,"truncate":false)",
  };
  for (const std::string& rope : ropes) {
    SCOPED_TRACE(rope);
    const RopeConfig old_schema =
        rope_of(fmt::format(R"("rope_theta":123456.0,"rope_scaling":{{{}}})", rope));
    const RopeConfig new_schema =
        rope_of(fmt::format(R"("rope_parameters":{{"rope_theta":123456.0,{}}})", rope));
    expect_same_rope(old_schema, new_schema);
    EXPECT_EQ(old_schema.theta, 123456.0);
  }
  expect_same_rope(rope_of(R"("rope_theta":5e5,"rope_scaling":null)"),
                   rope_of(R"("rope_parameters":{"rope_type":"default","rope_theta":5e5})"));
  EXPECT_EQ(parsed(config("LlamaForCausalLM", R"("dtype":"float32")")).torch_dtype,
            parsed(config("LlamaForCausalLM", R"("torch_dtype":"float32")")).torch_dtype);
}

TEST(HfRope, EveryFieldArrives) {
  const RopeConfig llama3 =
      rope_of(R"("rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.5,
      "high_freq_factor":4.5,"original_max_position_embeddings":8192})");
  EXPECT_EQ(llama3.type, RopeType::kLlama3);
  EXPECT_EQ(llama3.factor, 8.0);
  EXPECT_EQ(llama3.low_freq_factor, 1.5);
  EXPECT_EQ(llama3.high_freq_factor, 4.5);
  EXPECT_EQ(llama3.original_max_position_embeddings, 8192);
  const RopeConfig yarn = rope_of(R"("rope_scaling":{"type":"yarn","factor":4.0,"attention_factor":1.25,
      "original_max_position_embeddings":256,"beta_fast":16,"beta_slow":2,"mscale":0.7,"mscale_all_dim":0.5,
      "truncate":false})");
  EXPECT_EQ(yarn.type, RopeType::kYarn);
  EXPECT_EQ(yarn.factor, 4.0);
  EXPECT_EQ(yarn.attention_factor, 1.25);
  EXPECT_EQ(yarn.beta_fast, 16);
  EXPECT_EQ(yarn.beta_slow, 2);
  EXPECT_EQ(yarn.mscale, 0.7);
  EXPECT_EQ(yarn.mscale_all_dim, 0.5);
  EXPECT_FALSE(yarn.truncate);
}

TEST(HfRope, DefaultsAndPrecedence) {
  const RopeConfig yarn =
      rope_of(R"("max_position_embeddings":1000,"rope_scaling":{"type":"yarn","factor":null})");
  EXPECT_EQ(yarn.original_max_position_embeddings, 1000);
  EXPECT_EQ(yarn.factor, 1.0);
  EXPECT_EQ(yarn.beta_fast, 32);
  EXPECT_EQ(yarn.beta_slow, 1);
  EXPECT_TRUE(yarn.truncate);
  EXPECT_EQ(yarn.attention_factor, std::nullopt);
  const RopeConfig ratio = rope_of(
      R"("max_position_embeddings":1000,"rope_scaling":{"type":"yarn","factor":null,"original_max_position_embeddings":250})");
  EXPECT_EQ(ratio.factor, 4.0);
  // The object's theta goes before the one beside it; a top-level original length before the object's.
  EXPECT_EQ(rope_of(R"("rope_theta":5.0,"rope_parameters":{"rope_type":"default","rope_theta":7.0})").theta,
            7.0);
  EXPECT_EQ(rope_of(R"("rope_theta":5.0,"rope_parameters":{"rope_type":"default"})").theta, 5.0);
  EXPECT_EQ(rope_of(R"("original_max_position_embeddings":99,"rope_scaling":{"type":"yarn","factor":2.0,
                       "original_max_position_embeddings":50})")
                .original_max_position_embeddings,
            99);
}

TEST(HfRope, WhatIsNotSupportedOrWrong) {
  struct Case {
    std::string rope, message;
  };
  const std::vector<Case> cases{
      {R"({"rope_type":"dynamic","factor":2.0})",
       "\"dynamic\"; supported are default, linear, llama3 and yarn"},
      {R"({"rope_type":"longrope","short_factor":[1],"long_factor":[1]})", "short_factor"},
      {R"({"type":"longrope"})", "\"longrope\"; supported are"},
      {R"({"type":"mrope"})", "\"mrope\""},
      {R"({"type":"default","mrope_section":[1,2]})", "mrope_section"},
      {R"({"rope_type":"linear"})", "rope_scaling.factor is missing"},
      {R"({"rope_type":"linear","factor":"4"})", "rope_scaling."},
      {R"({"rope_type":"linear","factor":0})", "factor is 0"},
      {R"({"rope_type":"linear","factor":-4.0})", "factor is -4"},
      {R"({"rope_type":"yarn"})", "rope_scaling.factor is missing"},
      {R"({"rope_type":"yarn","factor":2,"beta_fast":1,"beta_slow":2})", "beta_fast is 1 beside"},
      {R"({"rope_type":"yarn","factor":2,"attention_factor":-1.0})", "attention_factor is -1"},
      {R"({"rope_type":"yarn","factor":2,"original_max_position_embeddings":0})",
       "original_max_position_embeddings is 0"},
      {R"({"rope_type":"llama3","factor":8.0})", "low_freq_factor is missing"},
      {R"({"rope_type":"llama3","factor":8.0,"low_freq_factor":4.0,"high_freq_factor":4.0})",
       "high_freq_factor is 4"},
      {R"({"rope_type":"default","partial_rotary_factor":0.5})", "partial_rotary_factor is 0.5"},
      {R"({"rope_type":"default","rope_theta":0})", "rope_theta is 0"},
      {R"({"rope_type":7})", "rope_type"},
      {R"({"full_attention":{"rope_type":"default"}})", "full_attention"},
      {R"("yarn")", "rope_scaling is a string, expected an object"},
      {R"([])", "rope_scaling is an array, expected an object"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.rope);
    const std::string text = config("LlamaForCausalLM", "\"rope_scaling\":" + c.rope);
    EXPECT_THAT(error_of(text), HasSubstr(c.message));
    EXPECT_THAT(error_of(text), HasSubstr("m/config.json: "));
  }
}

// ---------- what is refused ----------

TEST(HfConfig, ArchitecturesThatAreNotSupportedListThoseThatAre) {
  const std::string all = "Qwen3ForCausalLM, Qwen2ForCausalLM, LlamaForCausalLM, MistralForCausalLM";
  for (const std::string& text : {config("Gemma3ForCausalLM"), config("LlamaForSequenceClassification"),
                                  std::string("{}"), std::string(R"({"model_type":"gpt2"})"),
                                  config("DeepseekV3ForCausalLM", R"("auto_map":{"AutoConfig":"x.Y"})")}) {
    EXPECT_THAT(error_of(text), HasSubstr(all)) << text;
  }
  EXPECT_EQ(parse(config("Gemma3ForCausalLM")).error().code, Code::kUnsupported);
  EXPECT_EQ(parsed(R"({"model_type":"qwen2"})").architecture, Architecture::kQwen2);
  EXPECT_THAT(error_of(config("LlamaForCausalLM", R"("model_type":"granite")")), HasSubstr("model_type"));
}

TEST(HfConfig, AutoMapIsIgnoredForWhatIsBuiltIn) {
  EXPECT_EQ(
      parsed(config("LlamaForCausalLM", R"("auto_map":{"AutoModelForCausalLM":"evil.py"})")).architecture,
      Architecture::kLlama);
}

TEST(HfConfig, FieldsThatWouldChangeTheResultAreRefused) {
  for (const std::string field : {R"("hidden_act":"gelu")",
                                  R"("pretraining_tp":2)",
                                  R"("quantization_config":{"quant_method":"gptq"})",
                                  R"("partial_rotary_factor":0.5)",
                                  R"("num_local_experts":8)",
                                  R"("num_experts":64)",
                                  R"("attn_logit_softcapping":50.0)",
                                  R"("final_logit_softcapping":30.0)",
                                  R"("logits_scaling":8.0)",
                                  R"("embedding_multiplier":12.0)",
                                  R"("residual_multiplier":0.22)",
                                  R"("attention_multiplier":0.01)",
                                  R"("query_pre_attn_scalar":256)",
                                  R"("kv_lora_rank":512)",
                                  R"("clip_qkv":8.0)",
                                  R"("alibi":true)",
                                  R"("no_rope_layers":[1,0])",
                                  R"("attention_chunk_size":8192)",
                                  R"("use_mrope":true)",
                                  R"("rope_interleaved":true)",
                                  R"("use_qk_norm":true)",
                                  R"("is_encoder_decoder":true)",
                                  R"("compression_config":{})",
                                  R"("torch_dtype":"float64")",
                                  R"("dtype":"float8_e4m3fn")",
                                  R"("v_head_dim":64)"}) {
    SCOPED_TRACE(field);
    const auto c = parse(config("LlamaForCausalLM", field));
    ASSERT_FALSE(c.has_value());
    EXPECT_EQ(c.error().code, Code::kUnsupported);
    EXPECT_THAT(c.error().message, HasSubstr(field.substr(1, field.find('"', 1) - 1)));
  }
}

TEST(HfConfig, FieldsThatAreOffOrMeanNothingPass) {
  const ModelConfig c = parsed(config("LlamaForCausalLM", R"("pretraining_tp":1,"quantization_config":null,
      "partial_rotary_factor":1.0,"attention_dropout":0.1,"initializer_range":0.02,"use_cache":true,
      "transformers_version":"4.51.0","is_encoder_decoder":false,"num_experts":0,"use_mrope":false,
      "pad_token_id":-1,"_name_or_path":"x","unheard_of":{"a":[1]},"rope_interleaved":false)"));
  EXPECT_EQ(c.hidden_size, 4096);
}

TEST(HfConfig, ValuesOutOfBoundsNameTheField) {
  struct Case {
    std::string fields, message;
  };
  const std::vector<Case> cases{
      {R"("hidden_size":0)", "hidden_size is 0"},
      {R"("hidden_size":-4096)", "hidden_size is -4096"},
      {R"("hidden_size":4096.5)", "hidden_size"},
      {R"("hidden_size":"4096")", "hidden_size"},
      {R"("hidden_size":[4096])", "hidden_size"},
      {R"("hidden_size":99999999999)", "hidden_size"},
      {R"("hidden_size":18446744073709551615)", "hidden_size"},
      {R"("hidden_size":100)", "not a multiple of num_attention_heads"},
      {R"("num_hidden_layers":0)", "num_hidden_layers is 0"},
      {R"("num_hidden_layers":1000000)", "num_hidden_layers is 1000000"},
      {R"("num_attention_heads":0)", "num_attention_heads"},
      {R"("num_attention_heads":-1)", "num_attention_heads"},
      {R"("num_key_value_heads":0)", "num_key_value_heads is 0"},
      {R"("num_key_value_heads":5)", "not a multiple of num_key_value_heads, 5"},
      {R"("head_dim":7)", "head_dim is 7"},
      {R"("head_dim":0)", "head_dim is 0"},
      {R"("head_dim":1024)", "head_dim is 1024"},
      {R"("intermediate_size":0)", "intermediate_size is 0"},
      {R"("vocab_size":0)", "vocab_size is 0"},
      {R"("vocab_size":16777217)", "vocab_size is 16777217"},
      {R"("max_position_embeddings":0)", "max_position_embeddings is 0"},
      {R"("rms_norm_eps":-1)", "rms_norm_eps"},
      {R"("rms_norm_eps":"x")", "rms_norm_eps"},
      {R"("rope_theta":-1)", "rope_theta is -1"},
      {R"("tie_word_embeddings":"yes")", "tie_word_embeddings"},
      {R"("attention_bias":1)", "attention_bias"},
      {R"("hidden_act":1)", "hidden_act"},
      {R"("eos_token_id":-1)", "eos_token_id"},
      {R"("eos_token_id":"</s>")", "eos_token_id"},
      {R"("eos_token_id":[1,"2"])", "eos_token_id"},
      {R"("eos_token_id":[1,null])", "eos_token_id"},
      {R"("eos_token_id":9999999999)", "eos_token_id"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.fields);
    EXPECT_THAT(error_of(config("LlamaForCausalLM", c.fields)), HasSubstr(c.message));
  }
}

TEST(HfConfig, MalformedFiles) {
  for (const std::string_view text :
       {"", "{", "[]", "null", "1", "\"x\"", "{\"a\":}", "{\"architectures\":[\"LlamaForCausalLM\"],}",
        "{\"architectures\":\"LlamaForCausalLM\"}", "{\"architectures\":[]}", "{\"architectures\":[1]}",
        "{\"architectures\":[\"LlamaForCausalLM\"],\"vocab_size\":1,\"vocab_size\":2}",
        "{\"architectures\":[\"LlamaForCausalLM\"]} {}", "\xff\xfe{\"a\":1}", "{\"a\":\"\xff\"}",
        "{\"architectures\":[\"LlamaForCausalLM\"],\"rope_theta\":1e400}",
        "{\"architectures\":[\"LlamaForCausalLM\"],\"rope_theta\":NaN}"}) {
    SCOPED_TRACE(text);
    const auto c = parse(text);
    ASSERT_FALSE(c.has_value());
    EXPECT_THAT(c.error().message, HasSubstr("m/config.json: "));
  }
  const std::string deep =
      config("LlamaForCausalLM", "\"x\":" + std::string(100, '[') + std::string(100, ']'));
  EXPECT_THAT(error_of(deep), HasSubstr("deeper"));
}

TEST(HfConfig, DamagedTextIsReadOrRefused) {
  const std::string whole = config("Qwen2ForCausalLM", R"("hidden_size":64,"num_attention_heads":4,
      "num_key_value_heads":2,"num_hidden_layers":3,"vocab_size":99,"rope_scaling":{"type":"yarn","factor":2.0},
      "sliding_window":16,"use_sliding_window":true,"max_window_layers":1,"eos_token_id":[1,2])");
  std::mt19937 random(5);
  size_t refused = 0;
  constexpr int kTries = 20000;
  for (int i = 0; i < kTries; ++i) {
    std::string text = whole;
    text[random() % text.size()] = static_cast<char>(random());
    if (random() % 4 == 0) text.erase(random() % text.size(), 1 + random() % 8);
    refused += parse(text) ? 0 : 1;
  }
  EXPECT_GT(refused, static_cast<size_t>(kTries) / 3);
}

}  // namespace
}  // namespace pegainfer

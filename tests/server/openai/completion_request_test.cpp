#include "server/openai/completion_request.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include "server/openai/api_error.h"
#include "server/openai/ignored_fields.h"
#include "server/openai/unsupported_fields.h"
#include "support/fake_engine.h"
#include "support/fake_tokenizer.h"

namespace pegainfer::openai {
namespace {

class CompletionRequestTest : public ::testing::Test {
 protected:
  Result<CompletionRequest> parse(std::string_view body) {
    return parse_completion(
        body, {.model_names = names_, .engine = info_, .defaults = defaults_, .limits = limits_});
  }
  Result<CompletionRequest> with(const std::string& fields) {
    return parse(R"({"prompt":"hi",)" + fields + "}");
  }

  // "" when accepted, else "status code param".
  std::string verdict(std::string_view body) {
    const auto request = parse(body);
    if (request) return "";
    const ApiError error = to_api_error(request.error());
    return fmt::format("{} {} {}", error.status, error.code, error.param);
  }
  std::string verdict_with(const std::string& fields) { return verdict(R"({"prompt":"hi",)" + fields + "}"); }

  std::vector<std::string> names_ = {"first", "org/second"};
  EngineInfo info_ = testing::fake_engine_info();
  SamplingDefaults defaults_;
  ApiLimits limits_;
};

TEST_F(CompletionRequestTest, Defaults) {
  const auto request = parse(R"({"prompt":"The capital of France is"})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->model, "first");
  ASSERT_EQ(request->prompts.size(), 1U);
  EXPECT_EQ(std::get<std::string>(request->prompts[0]), "The capital of France is");
  EXPECT_EQ(request->sampling.max_tokens, 16);
  EXPECT_FALSE(request->max_tokens_given);
  EXPECT_EQ(request->sampling.temperature, 1.0F);
  EXPECT_EQ(request->sampling.top_p, 1.0F);
  EXPECT_EQ(request->sampling.top_k, 0);
  EXPECT_EQ(request->sampling.min_p, 0.0F);
  EXPECT_FALSE(request->sampling.seed);
  EXPECT_EQ(request->n, 1);
  EXPECT_EQ(request->logprobs, -1);
  EXPECT_EQ(request->sampling.prompt_logprobs, -1);
  EXPECT_TRUE(request->add_special_tokens);
  EXPECT_TRUE(request->skip_special_tokens);
  EXPECT_FALSE(request->stream || request->echo || request->include_stop || request->return_token_ids);
}

TEST_F(CompletionRequestTest, RequestThenModelThenLibrary) {
  defaults_ = {.temperature = 0.6, .top_p = 0.95, .min_p = 0.05, .top_k = 20, .repetition_penalty = 1.25};
  EXPECT_EQ(parse(R"({"prompt":"a"})")->sampling.temperature, 0.6F);
  EXPECT_EQ(parse(R"({"prompt":"a"})")->sampling.top_p, 0.95F);
  EXPECT_EQ(parse(R"({"prompt":"a"})")->sampling.min_p, 0.05F);
  EXPECT_EQ(parse(R"({"prompt":"a"})")->sampling.top_k, 20);
  EXPECT_EQ(parse(R"({"prompt":"a"})")->sampling.repetition_penalty, 1.25F);
  EXPECT_EQ(with(R"("repeat_penalty":1)")->sampling.repetition_penalty, 1.0F);
  EXPECT_EQ(with(R"("temperature":null)")->sampling.temperature, 0.6F);
  EXPECT_EQ(with(R"("temperature":0)")->sampling.temperature, 0.0F);  // greedy stays greedy
  EXPECT_EQ(with(R"("top_k":0)")->sampling.top_k, 0);
  EXPECT_EQ(with(R"("top_k":-1)")->sampling.top_k, -1);
  EXPECT_EQ(with(R"("top_p":1)")->sampling.top_p, 1.0F);
  EXPECT_EQ(with(R"("min_p":0)")->sampling.min_p, 0.0F);
}

TEST_F(CompletionRequestTest, EveryFieldArrives) {
  const auto r =
      parse(R"({"model":"org/second","prompt":["a","b"],"max_tokens":7,"temperature":0.5,"top_p":0.9,
    "top_k":40,"min_p":0.1,"seed":-5,"n":2,"best_of":2,"stop":["x","yz"],"stop_token_ids":[3,4],"ignore_eos":true,
    "echo":true,"logprobs":5,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true},
    "return_token_ids":true,"add_special_tokens":false,"skip_special_tokens":false,"include_stop_str_in_output":true,
    "truncate_prompt_tokens":9,"return_tokens_as_token_ids":true,"user":"me"})");
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->model, "org/second");
  EXPECT_EQ(r->prompts.size(), 2U);
  EXPECT_EQ(r->sampling.max_tokens, 7);
  EXPECT_TRUE(r->max_tokens_given);
  EXPECT_EQ(r->sampling.temperature, 0.5F);
  EXPECT_EQ(r->sampling.top_p, 0.9F);
  EXPECT_EQ(r->sampling.top_k, 40);
  EXPECT_EQ(r->sampling.min_p, 0.1F);
  EXPECT_EQ(r->sampling.seed, static_cast<uint64_t>(-5));
  EXPECT_EQ(r->n, 2);
  EXPECT_EQ(r->stop, (std::vector<std::string>{"x", "yz"}));
  EXPECT_EQ(r->sampling.stop_token_ids, (std::vector<TokenId>{3, 4}));
  EXPECT_TRUE(r->sampling.ignore_eos);
  EXPECT_TRUE(r->echo);
  EXPECT_EQ(r->logprobs, 5);
  EXPECT_EQ(r->sampling.logprobs, 5);
  EXPECT_EQ(r->sampling.prompt_logprobs, 5);
  EXPECT_TRUE(r->stream && r->stream_options.include_usage && r->stream_options.continuous_usage);
  EXPECT_TRUE(r->return_token_ids && r->include_stop && r->tokens_as_ids);
  EXPECT_FALSE(r->add_special_tokens || r->skip_special_tokens);
  EXPECT_EQ(r->truncate_prompt_tokens, 9);
}

TEST_F(CompletionRequestTest, BodiesThatAreNoRequest) {
  const std::string deep = R"({"prompt":"a","user":)" + std::string(65, '[') + std::string(65, ']') + "}";
  const std::string very_deep = R"({"prompt":)" + std::string(100'000, '[');
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "400 invalid_json "},
      {"{", "400 invalid_json "},
      {"[]", "400 invalid_type "},
      {R"("x")", "400 invalid_type "},
      {"null", "400 invalid_type "},
      {"42", "400 invalid_type "},
      {R"({"prompt":"a"}{})", "400 invalid_json "},
      {"\xEF\xBB\xBF{\"prompt\":\"a\"}", "400 invalid_json "},
      {"{\"prompt\":\"a\xff\"}", "400 invalid_utf8 "},
      {R"({"prompt":"\ud800"})", "400 invalid_json "},
      {std::string("\x7b\x00\x22\x00", 4), "400 invalid_json "},   // UTF-16
      {"{\"prompt\":\"\xc4\xe3\xba\xc3\"}", "400 invalid_utf8 "},  // GBK
      {deep, "400 json_too_deep "},
      {very_deep, "400 json_too_deep "},
      {R"({"prompt":"a","max_tokens":1,"max_tokens":2})", "400 duplicate_key "},
      {R"({"prompt":"a","temperature":NaN})", "400 invalid_json "},
      {R"({"prompt":"a","temperature":Infinity})", "400 invalid_json "},
      {R"({"prompt":"a","temperature":1e400})", "400 out_of_range "},
      {R"({"prompt":"a",/* x */"n":1})", "400 invalid_json "},
      {R"({"prompt":"a",})", "400 invalid_json "},
  };
  for (const auto& [body, expected] : cases) EXPECT_EQ(verdict(body), expected) << body.substr(0, 60);
  const auto long_number = verdict(R"({"prompt":"a","temperature":)" + std::string(1'000'000, '1') + "}");
  EXPECT_TRUE(long_number.starts_with("400 ")) << long_number;
  EXPECT_EQ(verdict(R"({"prompt":"a\u0000b"})"), "");
}

TEST_F(CompletionRequestTest, Model) {
  EXPECT_EQ(verdict_with(R"("model":"first")"), "");
  EXPECT_EQ(verdict_with(R"("model":"nope")"), "404 model_not_found model");
  EXPECT_EQ(verdict_with(R"("model":"")"), "404 model_not_found model");
  EXPECT_EQ(verdict_with(R"("model":null)"), "400 invalid_type model");
  EXPECT_EQ(verdict_with(R"("model":5)"), "400 invalid_type model");
  EXPECT_EQ(verdict_with(R"("model":")" + std::string(1'000'000, 'a') + "\""), "400 out_of_range model");
}

TEST_F(CompletionRequestTest, Prompts) {
  for (const char* good : {R"("a")", R"(["a"])", R"(["a","b"])", "[1,2,3]", "[[1],[2,3]]", "[5.0]"})
    EXPECT_EQ(verdict(fmt::format(R"({{"prompt":{}}})", good)), "") << good;
  EXPECT_EQ(parse(R"({"prompt":[1,2]})")->prompts.size(), 1U);
  EXPECT_EQ(parse(R"({"prompt":[[1,2],[3]]})")->prompts.size(), 2U);
  const std::vector<std::pair<std::string, std::string>> bad = {
      {R"("")", "400 empty_prompt prompt"},        {"[]", "400 empty_prompt prompt"},
      {"[[]]", "400 empty_prompt prompt"},         {R"(["a",""])", "400 empty_prompt prompt"},
      {"[[1],[]]", "400 empty_prompt prompt"},     {"null", "400 missing_parameter prompt"},
      {"[-1]", "400 out_of_vocab prompt"},         {"[260]", "400 out_of_vocab prompt"},
      {"[2147483648]", "400 out_of_vocab prompt"}, {"[18446744073709551615]", "400 out_of_vocab prompt"},
      {"[1.5]", "400 invalid_type prompt"},        {"[1,\"1\"]", "400 invalid_type prompt"},
      {R"(["a",1])", "400 invalid_type prompt"},   {R"(["a",["b"]])", "400 invalid_type prompt"},
      {"[true]", "400 invalid_type prompt"},       {"5", "400 invalid_type prompt"},
      {"{}", "400 invalid_type prompt"},           {"[[[1]]]", "400 invalid_type prompt"},
      {"[null]", "400 invalid_type prompt"},
  };
  for (const auto& [prompt, expected] : bad)
    EXPECT_EQ(verdict(fmt::format(R"({{"prompt":{}}})", prompt)), expected) << prompt;
  EXPECT_EQ(verdict("{}"), "400 missing_parameter prompt");
  std::string many = "[\"a\"";
  for (size_t i = 0; i < limits_.max_prompts; ++i) many += ",\"a\"";
  EXPECT_EQ(verdict(R"({"prompt":)" + many + "]}"), "400 out_of_range prompt");
}

struct NumericField {
  std::string name;
  std::vector<std::string> good;
  std::vector<std::string> bad;
};

TEST_F(CompletionRequestTest, BoundariesOfEveryNumber) {
  const std::vector<NumericField> fields = {
      {"max_tokens", {"1", "2147483647", "5.0"}, {"0", "-1", "2147483648", "4294967296", "1.5"}},
      {"temperature", {"0", "0.0", "2", "1e-30"}, {"-0.1", "2.1", "1e308", "-1e308"}},
      {"top_p", {"1e-9", "1", "0.5"}, {"0", "-1", "1.1", "1e-60"}},
      {"top_k", {"-1", "0", "2147483647"}, {"-2", "2147483648", "0.5"}},
      {"min_p", {"0", "1"}, {"-0.01", "2"}},
      {"seed", {"0", "-9223372036854775808", "9223372036854775807"}, {"9223372036854775808", "1.5"}},
      {"n", {"1", "8"}, {"0", "-1", "9", "129", "2147483648", "1000000000"}},
      {"best_of", {"1"}, {"0", "-1", "2", "2147483648"}},
      {"logprobs", {"0", "20"}, {"-1", "21", "2147483648"}},
      {"n_probs", {"0", "20"}, {"-1", "21"}},
      {"prompt_logprobs", {"0", "20"}, {"-1", "21", "2147483648"}},
      {"presence_penalty", {"-2", "0", "2"}, {"-2.1", "2.1"}},
      {"frequency_penalty", {"-2", "0", "2"}, {"-2.1", "2.1"}},
      {"repetition_penalty", {"0.01", "1", "100"}, {"0", "-1", "101", "1e-60"}},
      {"repeat_penalty", {"0.01", "1", "100"}, {"0", "-1", "101", "1e-60"}},
      {"penalty_last_n", {"-1", "0", "64"}, {"-2", "2147483648", "1.5"}},
      {"repeat_last_n", {"-1", "0", "64"}, {"-2", "2147483648", "1.5"}},
      {"n_predict", {"-1", "1", "2147483647"}, {"0", "-2", "2147483648"}},
      {"min_tokens", {"0", "16"}, {"-1", "17", "2147483648"}},
      {"dry_multiplier", {"0", "0.8", "100"}, {"-0.1", "101"}},
      {"dry_base", {"1", "1.75", "100"}, {"0.9", "101"}},
      {"dry_allowed_length", {"1", "2147483647"}, {"0", "-1"}},
      {"dry_penalty_last_n", {"-1", "0", "100"}, {"-2"}},
      {"typical_p", {"0.1", "1"}, {"0", "1.1", "1e-60"}},
      {"top_n_sigma", {"-1", "0", "2.5"}, {"-2", "1001"}},
      {"xtc_probability", {"0", "1"}, {"-0.1", "1.1"}},
      {"xtc_threshold", {"0", "1"}, {"-0.1", "1.1"}},
      {"dynatemp_range", {"0", "2"}, {"-0.1", "2.1"}},
      {"dynatemp_exponent", {"0", "2"}, {"-0.1", "101"}},
      {"mirostat", {"0", "1", "2"}, {"-1", "3", "1.5"}},
      {"mirostat_tau", {"0", "100"}, {"-0.1", "101"}},
      {"mirostat_eta", {"0", "1"}, {"-0.1", "1.1"}},
      {"truncate_prompt_tokens", {"-1", "1", "2147483647"}, {"-2", "0", "2147483648"}},
  };
  for (const NumericField& field : fields) {
    const auto ask = [&](const std::string& value) {
      return verdict_with("\"" + field.name + "\":" + value);
    };
    for (const std::string& value : field.good) EXPECT_EQ(ask(value), "") << field.name << " " << value;
    EXPECT_EQ(ask("null"), "") << field.name;
    std::vector<std::string> bad = field.bad;
    for (const char* never : {"\"1\"", "[]", "{}", "true", "18446744073709551616", "1e400"})
      bad.emplace_back(never);
    for (const std::string& value : bad) {
      const std::string v = ask(value);
      EXPECT_TRUE(v.starts_with("400 ")) << field.name << " " << value << ": " << v;
      if (value != "1e400") {
        EXPECT_TRUE(v.ends_with(" " + field.name)) << field.name << " " << value << ": " << v;
      }
    }
  }
}

TEST_F(CompletionRequestTest, BooleansAreBooleans) {
  for (const char* name :
       {"stream", "echo", "ignore_eos", "return_token_ids", "add_special_tokens", "skip_special_tokens",
        "include_stop_str_in_output", "return_tokens_as_token_ids"}) {
    for (const char* good : {"true", "false", "null"})
      EXPECT_EQ(verdict_with(fmt::format("\"{}\":{}", name, good)), "") << name << good;
    for (const char* bad : {"\"true\"", "1", "0", "[]", "{}"})
      EXPECT_EQ(verdict_with(fmt::format("\"{}\":{}", name, bad)), fmt::format("400 invalid_type {}", name))
          << bad;
  }
}

TEST_F(CompletionRequestTest, ScoringNeedsEcho) {
  EXPECT_EQ(verdict_with(R"("max_tokens":0,"echo":true)"), "");
  EXPECT_EQ(verdict_with(R"("max_tokens":0,"echo":true,"logprobs":5)"), "");
  EXPECT_EQ(verdict_with(R"("max_tokens":0)"), "400 out_of_range max_tokens");
  EXPECT_EQ(verdict_with(R"("max_tokens":0,"logprobs":1)"), "400 out_of_range max_tokens");
}

TEST_F(CompletionRequestTest, StopStringsAndIds) {
  for (const char* good : {R"("stop":"x")", R"("stop":[])", R"("stop":null)", R"("stop":["\n","\u4f60"])",
                           R"("stop_token_ids":[])", R"("stop_token_ids":[0,259])"})
    EXPECT_EQ(verdict_with(good), "") << good;
  std::string seventeen = "\"a\"";
  for (int i = 0; i < 16; ++i) seventeen += ",\"a\"";
  const std::vector<std::pair<std::string, std::string>> bad = {
      {R"("stop":"")", "400 out_of_range stop"},
      {R"("stop":[""])", "400 out_of_range stop"},
      {"\"stop\":[" + seventeen + "]", "400 out_of_range stop"},
      {R"("stop":")" + std::string(257, 'a') + "\"", "400 out_of_range stop"},
      {R"("stop":")" + std::string(5'000'000, 'a') + "\"", "400 out_of_range stop"},
      {R"("stop":123)", "400 invalid_type stop"},
      {R"("stop":[["a"]])", "400 invalid_type stop"},
      {R"("stop":[1])", "400 invalid_type stop"},
      {R"("stop_token_ids":[260])", "400 out_of_vocab stop_token_ids"},
      {R"("stop_token_ids":[-1])", "400 out_of_vocab stop_token_ids"},
      {R"("stop_token_ids":[1.5])", "400 invalid_type stop_token_ids"},
      {R"("stop_token_ids":5)", "400 invalid_type stop_token_ids"},
  };
  for (const auto& [field, expected] : bad) EXPECT_EQ(verdict_with(field), expected) << field.substr(0, 40);
}

TEST_F(CompletionRequestTest, StreamOptions) {
  EXPECT_EQ(
      verdict_with(R"("stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false})"),
      "");
  EXPECT_EQ(verdict_with(R"("stream":true,"stream_options":{})"), "");
  EXPECT_EQ(verdict_with(R"("stream_options":null)"), "");
  for (const char* bad :
       {R"("stream_options":{})", R"("stream":false,"stream_options":{"include_usage":true})",
        R"("stream":true,"stream_options":{"nope":true})", R"("stream":true,"stream_options":5)",
        R"("stream":true,"stream_options":{"include_usage":"yes"})"})
    EXPECT_TRUE(verdict_with(bad).starts_with("400 ")) << bad;
}

TEST_F(CompletionRequestTest, WhatChangesTheResultAndIsNotImplementedIsRefusedByName) {
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"suffix", "\"x\""},
      {"use_beam_search", "true"},
      {"response_format", R"({"type":"json_object"})"},
      {"response_format", R"({"type":"xml"})"},
      {"structured_outputs", R"({"json":{}})"},
      {"guided_json", "{}"},
      {"guided_regex", "\"a\""},
      {"guided_choice", "[\"a\"]"},
      {"guided_grammar", "\"a\""},
      {"grammar", "\"root\""},
      {"json_schema", "{\"type\":\"object\"}"},
      {"json_schema", "{}"},  // any JSON, and not any text
      {"regex", "\"a+\""},
      {"ebnf", "\"a\""},
      {"lora_path", "\"x\""},
      {"prompt_embeds", "\"x\""},
      {"truncation_side", "\"right\""},
      {"post_sampling_probs", "true"},
      {"custom_logit_processor", "\"x\""},
  };
  for (const auto& [name, value] : refused)
    EXPECT_EQ(verdict_with(fmt::format("\"{}\":{}", name, value)),
              fmt::format("400 unsupported_parameter {}", name))
        << value;
  EXPECT_EQ(verdict_with(R"("best_of":5,"n":2)"), "400 unsupported_parameter best_of");
  EXPECT_EQ(verdict_with(R"("best_of":1,"n":2)"), "400 out_of_range best_of");
}

TEST_F(CompletionRequestTest, EverySamplingFieldArrives) {
  const auto r =
      with(R"("presence_penalty":0.5,"frequency_penalty":-1,"repetition_penalty":1.25,"penalty_last_n":64,
    "logit_bias":{"5":2.5,"7":-100,"9":500},"min_tokens":3,"bad_words":["no"],"allowed_token_ids":[1,2],
    "dry_multiplier":0.8,"dry_base":2,"dry_allowed_length":3,"dry_penalty_last_n":99,"dry_sequence_breakers":["x"],
    "typical_p":0.9,"top_n_sigma":1.5,"xtc_probability":0.25,"xtc_threshold":0.125,"dynatemp_range":0.5,
    "dynatemp_exponent":2,"mirostat":2,"mirostat_tau":4,"mirostat_eta":0.25,"prompt_logprobs":3)");
  ASSERT_TRUE(r) << r.error().message;
  const SamplingParams& s = r->sampling;
  EXPECT_EQ(s.presence_penalty, 0.5F);
  EXPECT_EQ(s.frequency_penalty, -1.0F);
  EXPECT_EQ(s.repetition_penalty, 1.25F);
  EXPECT_EQ(s.penalty_last_n, 64);
  EXPECT_EQ(s.logit_bias, (std::vector<LogitBias>{{5, 2.5F}, {7, -100}, {9, 100}}));  // clamped, as vLLM does
  EXPECT_EQ(s.min_tokens, 3);
  EXPECT_EQ(r->bad_words, std::vector<std::string>{"no"});
  EXPECT_EQ(s.allowed_token_ids, (std::vector<TokenId>{1, 2}));
  EXPECT_EQ(s.dry, (DryParams{.multiplier = 0.8F, .base = 2, .allowed_length = 3, .penalty_last_n = 99}));
  EXPECT_EQ(r->dry_sequence_breakers, std::vector<std::string>{"x"});
  EXPECT_EQ(s.typical_p, 0.9F);
  EXPECT_EQ(s.top_n_sigma, 1.5F);
  EXPECT_EQ(s.xtc_probability, 0.25F);
  EXPECT_EQ(s.xtc_threshold, 0.125F);
  EXPECT_EQ(s.dynatemp_range, 0.5F);
  EXPECT_EQ(s.dynatemp_exponent, 2.0F);
  EXPECT_EQ(s.mirostat, (MirostatParams{.version = 2, .tau = 4, .eta = 0.25F}));
  EXPECT_EQ(r->prompt_logprobs, 3);
  EXPECT_EQ(s.prompt_logprobs, 3);
  EXPECT_EQ(parse(R"({"prompt":"a"})")->dry_sequence_breakers.size(), 4U);
}

TEST_F(CompletionRequestTest, OtherServersNames) {
  const auto r = with(
      R"("repeat_penalty":1.5,"repeat_last_n":32,"n_predict":9,"no_stop_trim":true,"rid":"mine","n_probs":2)");
  ASSERT_TRUE(r) << r.error().message;
  EXPECT_EQ(r->sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(r->sampling.penalty_last_n, 32);
  EXPECT_EQ(r->sampling.max_tokens, 9);
  EXPECT_TRUE(r->max_tokens_given && r->include_stop);
  EXPECT_EQ(r->request_id, "mine");
  EXPECT_EQ(r->logprobs, 2);
  const auto both = with(R"("repeat_penalty":1.5,"repetition_penalty":1.25,"n_predict":9,"max_tokens":8)");
  EXPECT_EQ(both->sampling.repetition_penalty, 1.25F);  // the first name goes first
  EXPECT_EQ(both->sampling.max_tokens, 8);
  const auto unlimited = with(R"("n_predict":-1)");
  EXPECT_FALSE(unlimited->max_tokens_given);
  EXPECT_EQ(unlimited->sampling.max_tokens, info_.max_model_len);
}

TEST_F(CompletionRequestTest, LogitBias) {
  for (const char* good : {"{}", R"({"0":1,"259":-1})", "[]", "[[5,1.5],[6,false]]"})
    EXPECT_EQ(verdict_with(fmt::format("\"logit_bias\":{}", good)), "") << good;
  EXPECT_EQ(with(R"("logit_bias":[[6,false]])")->sampling.logit_bias.front().bias,
            -std::numeric_limits<float>::infinity());
  for (const char* bad :
       {R"({"260":1})", R"({"-1":1})", R"({"abc":1})", R"({"":1})", R"({"1.5":1})", R"({"5":"1"})",
        R"({"5":true})", R"({"5":null})", R"({"5 ":1})", "[[5]]", "[5,1]", "[[5,true]]", R"([["a",1]])"})
    EXPECT_EQ(verdict_with(fmt::format("\"logit_bias\":{}", bad)), "400 invalid_value logit_bias") << bad;
  for (const char* bad : {"5", "\"5\"", "true"})
    EXPECT_EQ(verdict_with(fmt::format("\"logit_bias\":{}", bad)), "400 invalid_type logit_bias") << bad;
  std::string many = "[[1,1]";
  for (size_t i = 0; i < limits_.max_logit_bias; ++i) many += ",[1,1]";
  EXPECT_EQ(verdict_with("\"logit_bias\":" + many + "]"), "400 out_of_range logit_bias");
}

TEST_F(CompletionRequestTest, RulesForTokens) {
  EXPECT_EQ(verdict_with(R"("allowed_token_ids":[])"), "400 invalid_value allowed_token_ids");
  EXPECT_EQ(verdict_with(R"("allowed_token_ids":[260])"), "400 out_of_vocab allowed_token_ids");
  EXPECT_EQ(verdict_with(R"("allowed_token_ids":null)"), "");
  EXPECT_EQ(verdict_with(R"("bad_words":[""])"), "400 out_of_range bad_words");
  EXPECT_EQ(verdict_with(R"("bad_words":[1])"), "400 invalid_type bad_words");
  EXPECT_EQ(verdict_with(R"("min_tokens":5,"max_tokens":4)"), "400 out_of_range min_tokens");
  EXPECT_EQ(verdict_with(R"("min_tokens":5,"max_tokens":5)"), "");
  EXPECT_EQ(verdict_with(R"("min_tokens":5,"n_predict":4)"), "400 out_of_range min_tokens");
  EXPECT_EQ(verdict_with(R"("prompt_logprobs":0,"stream":true)"), "400 invalid_value prompt_logprobs");
}

TEST_F(CompletionRequestTest, ASeedOfMinusOneIsNone) {
  EXPECT_FALSE(with(R"("seed":-1)")->sampling.seed);
  EXPECT_EQ(with(R"("seed":-2)")->sampling.seed, static_cast<uint64_t>(-2));
}

// vLLM's rule: as it is written and behind a space, the second when it is another beginning.
TEST_F(CompletionRequestTest, WordsBecomeTokens) {
  const testing::FakeTokenizer tokenizer;  // a token a byte
  auto r = with(R"("bad_words":["ab"," c"],"dry_multiplier":1,"dry_sequence_breakers":["xy"])");
  resolve_words(tokenizer, *r);
  EXPECT_EQ(r->sampling.bad_words, (std::vector<std::vector<TokenId>>{{'a', 'b'}, {'c'}}));
  EXPECT_EQ(r->sampling.dry.sequence_breakers, (std::vector<std::vector<TokenId>>{{'x', 'y'}}));
}

TEST_F(CompletionRequestTest, UnknownFieldsAreCounted) {
  const uint64_t before = unknown_fields().total();
  EXPECT_EQ(
      verdict_with(R"("model":"first","n":1,"user":"me","suffix":"","stream":false,"cache_prompt":true)"),
      "");
  EXPECT_EQ(unknown_fields().total(), before);
  EXPECT_EQ(verdict_with(R"("never":1,"heard":null,"of":{"x":1})"), "");
  EXPECT_EQ(unknown_fields().total(), before + 3);
}

TEST_F(CompletionRequestTest, WhatIsIgnoredAndRefusedIsWrittenDown) {
  std::ifstream file(std::string(PEGA_SOURCE_DIR) + "/docs/request_fields.md");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  for (const IgnoredField& field : ignored_fields())
    EXPECT_NE(text.find(fmt::format("| `{}` | {} |", field.name, field.why)), std::string::npos)
        << field.name;
  for (const std::string_view name : refused_fields())
    EXPECT_NE(text.find(fmt::format("| `{}` |", name)), std::string::npos) << name;
}

TEST_F(CompletionRequestTest, NeutralAndUnknownFieldsAreAccepted) {
  for (const char* neutral : {R"("presence_penalty":0)",
                              R"("frequency_penalty":0.0)",
                              R"("repetition_penalty":1.0)",
                              R"("logit_bias":{})",
                              R"("logit_bias":null)",
                              R"("suffix":null)",
                              R"("suffix":"")",
                              R"("use_beam_search":false)",
                              R"("response_format":{"type":"text"})",
                              R"("min_tokens":0)",
                              R"("best_of":1)",
                              R"("best_of":null)",
                              R"("bad_words":[])",
                              R"("n":null)",
                              R"("logprobs":null)",
                              R"("stop":null)",
                              R"("seed":null)",
                              R"("user":"me")",
                              R"("metadata":{"a":[1]})",
                              R"("service_tier":"auto")",
                              R"("never_heard_of":{"x":1})",
                              R"("truncation_side":"left")",
                              R"("samplers":["top_k"])",
                              R"("cache_prompt":true)",
                              R"("length_penalty":1.0)",
                              R"("priority":0)",
                              R"("request_id":"x")",
                              R"("spaces_between_special_tokens":true)"})
    EXPECT_EQ(verdict_with(neutral), "") << neutral;
  EXPECT_EQ(verdict_with(R"("user":")" + std::string(1'000'000, 'a') + "\""), "400 out_of_range user");
}

TEST_F(CompletionRequestTest, ChoicesInAllAreLimited) {
  std::string prompts = "\"a\"";
  for (int i = 1; i < 200; ++i) prompts += ",\"a\"";
  EXPECT_EQ(verdict("{\"prompt\":[" + prompts + "],\"n\":5}"), "");
  EXPECT_EQ(verdict("{\"prompt\":[" + prompts + "],\"n\":6}"), "400 out_of_range n");
}

TEST_F(CompletionRequestTest, MessagesNameTheFieldTheValueAndWhatIsValid) {
  EXPECT_EQ(with(R"("temperature":2.5)").error().message,
            "temperature is 2.5; it must be at least 0 and at most 2");
  EXPECT_EQ(with(R"("n":9)").error().message, "n is 9; it must be a whole number between 1 and 8");
  EXPECT_EQ(with(R"("stream":"true")").error().message, "stream is a string; it must be true or false");
}

}  // namespace
}  // namespace pegainfer::openai

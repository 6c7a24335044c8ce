#include "engine/validate_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace pegainfer {
namespace {

using ::testing::HasSubstr;

EngineInfo small_info() {
  EngineInfo info;
  info.vocab_size = 50;
  info.max_model_len = 20;
  info.num_kv_blocks = 6;
  info.block_size = 4;
  return info;
}

GenerateRequest request(size_t prompt_tokens, int max_tokens) {
  GenerateRequest r;
  r.prompt.assign(prompt_tokens, 1);
  r.sampling.max_tokens = max_tokens;
  r.sink = [](const TokenEvent&) {};
  return r;
}

TEST(ValidateRequest, AcceptsUpToTheContextLength) {
  EXPECT_TRUE(validate_request(small_info(), request(1, 19)));
  EXPECT_TRUE(validate_request(small_info(), request(19, 1)));
  EXPECT_TRUE(validate_request(small_info(), request(20, 0)));  // scoring only
}

TEST(ValidateRequest, ContextOverflowNamesBothNumbers) {
  for (const size_t prompt : {size_t{20}, size_t{21}, size_t{4000}}) {
    const Status s = validate_request(small_info(), request(prompt, 1));
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().code, Code::kInvalidArgument);
    EXPECT_EQ(s.error().type, "context_length_exceeded");
    EXPECT_THAT(s.error().message, HasSubstr("maximum context length is 20 tokens"));
    EXPECT_THAT(s.error().message, HasSubstr(std::to_string(prompt) + " input tokens"));
  }
  const Status s = validate_request(small_info(), request(15, 6));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().type, "context_length_exceeded");
  EXPECT_THAT(s.error().message, HasSubstr("maximum context length is 20 tokens"));
  EXPECT_THAT(s.error().message, HasSubstr("requested 21 tokens (15 in the prompt, 6 for the completion)"));
  EXPECT_FALSE(validate_request(small_info(), request(21, 0)));
  EXPECT_FALSE(validate_request(small_info(), request(15, std::numeric_limits<int>::max())));
}

TEST(ValidateRequest, WhatTheKvCacheCanNeverHoldIsRefused) {
  EngineInfo info = small_info();
  info.num_kv_blocks = 4;                               // 3 usable: 12 positions
  EXPECT_TRUE(validate_request(info, request(12, 1)));  // the last token's KV is never needed
  const Status s = validate_request(info, request(12, 2));
  ASSERT_FALSE(s);
  EXPECT_EQ(s.error().type, "context_length_exceeded");
  EXPECT_THAT(s.error().message, HasSubstr("12 tokens"));
  EXPECT_THAT(s.error().message, HasSubstr("needs 13"));
}

TEST(ValidateRequest, PromptIds) {
  GenerateRequest r = request(0, 1);
  EXPECT_EQ(validate_request(small_info(), r).error().param, "prompt");
  for (const TokenId bad : {-1, 50, std::numeric_limits<TokenId>::max()}) {
    r.prompt = {0, 49, bad};
    const Status s = validate_request(small_info(), r);
    ASSERT_FALSE(s);
    EXPECT_EQ(s.error().type, "out_of_vocab");
    EXPECT_THAT(s.error().message, HasSubstr("token id " + std::to_string(bad) + " at position 2"));
  }
  r.prompt = {0, 49};
  EXPECT_TRUE(validate_request(small_info(), r));
}

// allowed_token_ids, and what takes the last of them away.
TEST(ValidateRequest, SomethingMustBeLeftToDraw) {
  EngineInfo info = small_info();
  info.eos_token_ids = {7};
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  const auto param_of = [&](auto&& set) {
    GenerateRequest r = request(1, 4);
    set(r.sampling);
    const Status s = validate_request(info, r);
    return s ? std::string() : s.error().param;
  };
  const auto bias_all = [&](SamplingParams& s) {
    for (TokenId id = 0; id < info.vocab_size; ++id) s.logit_bias.push_back({id, kNever});
  };
  EXPECT_EQ(param_of(bias_all), "logit_bias");
  EXPECT_EQ(param_of([&](SamplingParams& s) {
              bias_all(s);
              s.logit_bias.pop_back();
            }),
            "");
  EXPECT_EQ(param_of([&](SamplingParams& s) {
              bias_all(s);
              s.logit_bias.back().bias = -100;
            }),
            "");
  EXPECT_EQ(param_of([&](SamplingParams& s) {
              bias_all(s);
              s.logit_bias.back() = s.logit_bias.front();  // twice the same is one
            }),
            "");
  EXPECT_EQ(param_of([&](SamplingParams& s) {
              bias_all(s);
              s.max_tokens = 0;  // nothing is drawn
            }),
            "");
  const auto allow = [&](std::vector<TokenId> allowed, auto&& set) {
    return param_of([&](SamplingParams& s) {
      s.allowed_token_ids = allowed;
      set(s);
    });
  };
  const auto bias = [](SamplingParams& s) { s.logit_bias = {{5, kNever}}; };
  const auto word = [](SamplingParams& s) { s.bad_words = {{5}}; };
  const auto words = [](SamplingParams& s) { s.bad_words = {{5, 5}}; };
  const auto longer = [](SamplingParams& s) {
    s.min_tokens = 1;
    s.stop_token_ids = {5};
  };
  for (const auto& [set, refused] : {std::pair<std::function<void(SamplingParams&)>, bool>{bias, true},
                                     {word, true},
                                     {words, false},
                                     {longer, true}}) {
    EXPECT_EQ(allow({5}, set), refused ? "allowed_token_ids" : "");
    EXPECT_EQ(allow({5, 6}, set), "");
    EXPECT_EQ(allow({6}, set), "");
  }
  EXPECT_EQ(allow({5, 7}, longer), "allowed_token_ids");  // 7 is EOS
}

TEST(ValidateRequest, SamplingAndSink) {
  GenerateRequest r = request(1, 1);
  r.sampling.top_p = 0;
  EXPECT_EQ(validate_request(small_info(), r).error().param, "top_p");
  r = request(1, 1);
  r.sink = nullptr;
  EXPECT_FALSE(validate_request(small_info(), r));
}

}  // namespace
}  // namespace pegainfer

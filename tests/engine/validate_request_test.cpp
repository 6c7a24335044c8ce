#include "engine/validate_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
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

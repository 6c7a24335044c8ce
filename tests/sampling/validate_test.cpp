#include "sampling/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <string>

namespace pegainfer {
namespace {

using ::testing::HasSubstr;

constexpr int kVocab = 100;

TEST(ValidateSampling, AcceptsDefaultsAndEveryEndOfARange) {
  EXPECT_TRUE(validate_sampling({}, kVocab));
  SamplingParams low;
  low.temperature = 0;
  low.top_p = 1e-6F;
  low.min_p = 0;
  low.top_k = -1;
  low.max_tokens = 0;
  low.logprobs = -1;
  low.stop_token_ids = {0, kVocab - 1};
  EXPECT_TRUE(validate_sampling(low, kVocab));
  SamplingParams high;
  high.temperature = 2;
  high.top_p = 1;
  high.min_p = 1;
  high.top_k = std::numeric_limits<int>::max();
  high.max_tokens = std::numeric_limits<int>::max();
  high.logprobs = high.prompt_logprobs = kMaxLogprobs;
  EXPECT_TRUE(validate_sampling(high, kVocab));
}

struct Bad {
  std::string field;
  std::string value;  // as the message must show it
  std::function<void(SamplingParams&)> set;
};

class ValidateSamplingBad : public ::testing::TestWithParam<Bad> {};

TEST_P(ValidateSamplingBad, NamesFieldAndValue) {
  SamplingParams params;
  GetParam().set(params);
  const Status status = validate_sampling(params, kVocab);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kInvalidArgument);
  EXPECT_EQ(status.error().param, GetParam().field);
  EXPECT_THAT(status.error().message, HasSubstr(GetParam().field));
  EXPECT_THAT(status.error().message, HasSubstr(GetParam().value));
}

const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInf = std::numeric_limits<float>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Fields, ValidateSamplingBad,
    ::testing::Values(Bad{"temperature", "-0.1", [](SamplingParams& p) { p.temperature = -0.1F; }},
                      Bad{"temperature", "2.1", [](SamplingParams& p) { p.temperature = 2.1F; }},
                      Bad{"temperature", "nan", [](SamplingParams& p) { p.temperature = kNan; }},
                      Bad{"temperature", "inf", [](SamplingParams& p) { p.temperature = kInf; }},
                      Bad{"top_p", "0", [](SamplingParams& p) { p.top_p = 0; }},
                      Bad{"top_p", "1.1", [](SamplingParams& p) { p.top_p = 1.1F; }},
                      Bad{"top_p", "nan", [](SamplingParams& p) { p.top_p = kNan; }},
                      Bad{"min_p", "-0.5", [](SamplingParams& p) { p.min_p = -0.5F; }},
                      Bad{"min_p", "2", [](SamplingParams& p) { p.min_p = 2; }},
                      Bad{"top_k", "-2", [](SamplingParams& p) { p.top_k = -2; }},
                      Bad{"max_tokens", "-1", [](SamplingParams& p) { p.max_tokens = -1; }},
                      Bad{"logprobs", "21", [](SamplingParams& p) { p.logprobs = 21; }},
                      Bad{"logprobs", "-2", [](SamplingParams& p) { p.logprobs = -2; }},
                      Bad{"prompt_logprobs", "21", [](SamplingParams& p) { p.prompt_logprobs = 21; }},
                      Bad{"stop_token_ids", "100",
                          [](SamplingParams& p) {
                            p.stop_token_ids = {1, 100};
                          }},
                      Bad{"stop_token_ids", "-1", [](SamplingParams& p) { p.stop_token_ids = {-1}; }}));

INSTANTIATE_TEST_SUITE_P(
    Processing, ValidateSamplingBad,
    ::testing::Values(
        Bad{"presence_penalty", "2.5", [](SamplingParams& p) { p.presence_penalty = 2.5F; }},
        Bad{"frequency_penalty", "nan", [](SamplingParams& p) { p.frequency_penalty = kNan; }},
        Bad{"repetition_penalty", "0", [](SamplingParams& p) { p.repetition_penalty = 0; }},
        Bad{"repetition_penalty", "inf", [](SamplingParams& p) { p.repetition_penalty = kInf; }},
        Bad{"penalty_last_n", "-2", [](SamplingParams& p) { p.penalty_last_n = -2; }},
        Bad{"logit_bias", "100",
            [](SamplingParams& p) {
              p.logit_bias.push_back({100, 1});
            }},
        Bad{"logit_bias", "nan",
            [](SamplingParams& p) {
              p.logit_bias.push_back({1, kNan});
            }},
        Bad{"min_tokens", "-1", [](SamplingParams& p) { p.min_tokens = -1; }},
        Bad{"bad_words", "100", [](SamplingParams& p) { p.bad_words.push_back({100}); }},
        Bad{"bad_words", "without tokens", [](SamplingParams& p) { p.bad_words.emplace_back(); }},
        Bad{"allowed_token_ids", "-1", [](SamplingParams& p) { p.allowed_token_ids = {-1}; }},
        Bad{"dry_multiplier", "-1", [](SamplingParams& p) { p.dry.multiplier = -1; }},
        Bad{"dry_base", "0.5", [](SamplingParams& p) { p.dry.base = 0.5F; }},
        Bad{"dry_allowed_length", "0", [](SamplingParams& p) { p.dry.allowed_length = 0; }},
        Bad{"dry_penalty_last_n", "-2", [](SamplingParams& p) { p.dry.penalty_last_n = -2; }},
        Bad{"typical_p", "0", [](SamplingParams& p) { p.typical_p = 0; }},
        Bad{"top_n_sigma", "nan", [](SamplingParams& p) { p.top_n_sigma = kNan; }},
        Bad{"xtc_probability", "1.5", [](SamplingParams& p) { p.xtc_probability = 1.5F; }},
        Bad{"xtc_threshold", "-0.5", [](SamplingParams& p) { p.xtc_threshold = -0.5F; }},
        Bad{"dynatemp_range", "3", [](SamplingParams& p) { p.dynatemp_range = 3; }},
        Bad{"dynatemp_exponent", "nan", [](SamplingParams& p) { p.dynatemp_exponent = kNan; }},
        Bad{"mirostat", "3", [](SamplingParams& p) { p.mirostat.version = 3; }},
        Bad{"mirostat_tau", "nan", [](SamplingParams& p) { p.mirostat.tau = kNan; }},
        Bad{"mirostat_eta", "2", [](SamplingParams& p) { p.mirostat.eta = 2; }}));

}  // namespace
}  // namespace pegainfer

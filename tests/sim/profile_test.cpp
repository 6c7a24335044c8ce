#include "sim/profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pegainfer::sim {
namespace {

using ::testing::HasSubstr;

SimProfile round_numbers() {
  SimProfile p;
  p.weights_bytes = 100;
  p.bandwidth = 50;  // 2 s to read the weights
  p.flops_per_token = 10;
  p.flops_per_sample = 20;
  p.peak_flops = 10;  // a token 1 s, a sample 2 s
  p.kv_bytes_per_token = 5;
  p.attention_flops_per_pair = 3;
  p.attention_peak_flops = 30;
  p.step_overhead_s = 0.5;
  p.seq_overhead_s = 0.25;
  return p;
}

TEST(StepWork, CountsContextAndPairs) {
  StepPlan plan;
  plan.seqs.push_back({.num_computed_tokens = 10, .num_tokens = 4, .sample = false});
  plan.seqs.push_back({.num_computed_tokens = 7, .num_tokens = 1, .sample = true});
  const StepWork work = work_of(plan);
  EXPECT_EQ(work.num_tokens, 5);
  EXPECT_EQ(work.num_seqs, 2);
  EXPECT_EQ(work.num_samples, 1);
  EXPECT_EQ(work.kv_tokens, 14 + 8);
  // Rows at positions 10 to 13 see 11 + 12 + 13 + 14 tokens, the one at 7 sees 8.
  EXPECT_EQ(work.attention_pairs, 50 + 8);
}

TEST(StepSeconds, TakesTheSlowerOfMovingAndComputing) {
  const SimProfile p = round_numbers();
  // Linear: max(2, 0.3) -> 2; attention: max(10 * 5 / 50, 20 * 3 / 30) -> 2; overheads 0.5 + 0.25.
  EXPECT_DOUBLE_EQ(step_seconds(p, {.num_tokens = 0, .num_seqs = 1, .kv_tokens = 10, .attention_pairs = 20}),
                   4.75);
  // Linear: max(2, 3 + 4) -> 7; no attention.
  EXPECT_DOUBLE_EQ(step_seconds(p, {.num_tokens = 3, .num_seqs = 2, .num_samples = 2}), 8.0);
}

TEST(StepSeconds, WithoutOverlapTheTimesAddUp) {
  SimProfile p = round_numbers();
  p.overlap = 0;
  EXPECT_DOUBLE_EQ(step_seconds(p, {.num_tokens = 3, .num_seqs = 0, .num_samples = 2}), 2 + 7 + 0.5);
  p.overlap = 0.5;
  EXPECT_DOUBLE_EQ(step_seconds(p, {.num_tokens = 3, .num_seqs = 0, .num_samples = 2}), 1 + 7 + 0.5);
}

TEST(Profiles, DecodeOnAnH100IsBoundByTheBus) {
  const auto profile = find_profile("h100-qwen3-4b");
  ASSERT_TRUE(profile);
  const double one = step_seconds(
      *profile,
      {.num_tokens = 1, .num_seqs = 1, .num_samples = 1, .kv_tokens = 1024, .attention_pairs = 1024});
  EXPECT_NEAR(one, 8.045e9 / 2.8e12 + 1024 * 147456 / 2.8e12 + 150e-6, 1e-7);
  const double prompt = step_seconds(*profile, {.num_tokens = 2048, .num_seqs = 1, .num_samples = 1});
  EXPECT_NEAR(prompt, 23.06e-3, 0.5e-3);  // what the linear layers of 2,048 tokens were measured at
}

TEST(Profiles, InstantTakesNoTime) {
  const auto profile = find_profile("instant");
  ASSERT_TRUE(profile);
  EXPECT_EQ(step_seconds(*profile, {.num_tokens = 8192,
                                    .num_seqs = 256,
                                    .num_samples = 256,
                                    .kv_tokens = 1 << 20,
                                    .attention_pairs = 1 << 30}),
            0);
}

TEST(Profiles, AFileStartsFromItsBase) {
  const auto profile =
      parse_profile(R"({"base": "h100-qwen3-4b", "bandwidth": 1e12, "num_kv_blocks": 100})", "mine.json");
  ASSERT_TRUE(profile);
  EXPECT_EQ(profile->name, "mine.json");
  EXPECT_EQ(profile->bandwidth, 1e12);
  EXPECT_EQ(profile->num_kv_blocks, 100);
  EXPECT_EQ(profile->weights_bytes, 8.045e9);
}

TEST(Profiles, WrongFilesAreRefusedByName) {
  const auto message = [](const char* text) {
    const auto profile = parse_profile(text, "mine.json");
    return profile ? std::string("accepted") : profile.error().message;
  };
  EXPECT_THAT(message(R"({"bandwith": 1})"), HasSubstr("unknown field \"bandwith\""));
  EXPECT_THAT(message(R"({"bandwidth": -1})"), HasSubstr("bandwidth is -1"));
  EXPECT_THAT(message(R"({"overlap": 2})"), HasSubstr("overlap is 2"));
  EXPECT_THAT(message(R"({"num_kv_blocks": 1})"), HasSubstr("num_kv_blocks is 1"));
  EXPECT_THAT(message(R"({"base": "h900"})"), HasSubstr("base \"h900\" is none of instant, "));
  EXPECT_THAT(message("[]"), HasSubstr("a JSON object"));
  EXPECT_THAT(message("{"), HasSubstr("mine.json"));
  const auto missing = find_profile("no-such-profile");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("neither one of instant, h100-qwen3-4b"));
}

}  // namespace
}  // namespace pegainfer::sim

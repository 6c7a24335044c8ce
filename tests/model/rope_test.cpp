#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

namespace pegainfer {
namespace {

ModelConfig config_with(RopeConfig rope, int head_dim = 16, int max_position = 4096) {
  ModelConfig c;
  c.head_dim = head_dim;
  c.max_position_embeddings = max_position;
  c.rope = std::move(rope);
  return c;
}

// F32 arithmetic: a few units in the last place.
void expect_near(const std::vector<float>& actual, const std::vector<double>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], std::abs(expected[i]) * 5e-7) << "frequency " << i;
}

std::vector<double> plain(double theta, int dim) {
  std::vector<double> out;
  for (int i = 0; i < dim / 2; ++i) out.push_back(std::exp(-2.0 * i / dim * std::log(theta)));
  return out;
}

TEST(Rope, DefaultIsAGeometricSeries) {
  for (const int dim : {16, 64, 80, 128}) {
    const RopeFrequencies f = compute_rope(config_with({.theta = 1e6}, dim));
    expect_near(f.inv_freq, plain(1e6, dim));
    EXPECT_EQ(f.attention_factor, 1.0F);
  }
}

TEST(Rope, LinearDividesAll) {
  const auto f = compute_rope(config_with({.type = RopeType::kLinear, .factor = 4}));
  std::vector<double> expected = plain(10000, 16);
  for (double& v : expected) v /= 4;
  expect_near(f.inv_freq, expected);
}

TEST(Rope, GgufFactorsDivideEach) {
  RopeConfig rope{.theta = 5e5, .freq_factors = {1, 1, 1.5F, 2, 3, 8, 8, 8}};
  std::vector<double> expected = plain(5e5, 16);
  for (size_t i = 0; i < expected.size(); ++i) expected[i] /= rope.freq_factors[i];
  expect_near(compute_rope(config_with(rope)).inv_freq, expected);
}

// By turns within the original context: fewer than `low`: / factor; more than `high`: kept; between: blended.
TEST(Rope, Llama3ByTurns) {
  RopeConfig rope{.type = RopeType::kLlama3,
                  .theta = 5e5,
                  .factor = 8,
                  .low_freq_factor = 1,
                  .high_freq_factor = 4,
                  .original_max_position_embeddings = 64};
  const int dim = 32;
  std::vector<double> expected = plain(5e5, dim);
  int blended = 0;
  for (double& f : expected) {
    const double turns = 64 * f / (2 * std::numbers::pi);
    const double keep = std::clamp((turns - 1) / 3, 0.0, 1.0);
    blended += keep > 0 && keep < 1 ? 1 : 0;
    f = f * keep + f / 8 * (1 - keep);
  }
  EXPECT_GE(blended, 1);
  expect_near(compute_rope(config_with(rope, dim)).inv_freq, expected);

  // The same by GGUF's divisors.
  RopeConfig gguf{.theta = 5e5, .freq_factors = {}};
  const std::vector<double> base = plain(5e5, dim);
  for (size_t i = 0; i < base.size(); ++i)
    gguf.freq_factors.push_back(static_cast<float>(base[i] / expected[i]));
  expect_near(compute_rope(config_with(gguf, dim)).inv_freq, expected);
}

TEST(Rope, Llama3OriginalLengthDefaultsToTheModels) {
  RopeConfig rope{.type = RopeType::kLlama3, .factor = 8, .original_max_position_embeddings = 128};
  const auto said = compute_rope(config_with(rope, 16, 4096));
  rope.original_max_position_embeddings = 0;
  EXPECT_EQ(said.inv_freq, compute_rope(config_with(rope, 16, 128)).inv_freq);
}

// Values of transformers 5.23's _compute_llama3_parameters and _compute_yarn_parameters.
TEST(Rope, Llama31AsTransformers) {
  const RopeConfig rope{.type = RopeType::kLlama3,
                        .theta = 5e5,
                        .factor = 8,
                        .low_freq_factor = 1,
                        .high_freq_factor = 4,
                        .original_max_position_embeddings = 8192};
  expect_near(compute_rope(config_with(rope, 16, 131072)).inv_freq,
              {1, 0.193922758, 0.0376060307, 0.00729266508, 0.000524846022, 3.42810235e-05, 6.64786967e-06,
               1.28917316e-06});
}

TEST(Rope, YarnAsTransformers) {
  const RopeConfig qwen{
      .type = RopeType::kYarn, .theta = 1e6, .factor = 4, .original_max_position_embeddings = 32768};
  const RopeFrequencies f = compute_rope(config_with(qwen, 16, 131072));
  expect_near(f.inv_freq, {1, 0.177827939, 0.0316227786, 0.00421755994, 0.000500000024, 4.44569851e-05,
                           7.90569356e-06, 1.40585337e-06});
  EXPECT_FLOAT_EQ(f.attention_factor, 1.138629436111989F);
}

TEST(Rope, YarnWithoutTruncation) {
  const RopeConfig rope{.type = RopeType::kYarn,
                        .factor = 8,
                        .original_max_position_embeddings = 128,
                        .beta_fast = 8,
                        .beta_slow = 2,
                        .attention_factor = 1.3,
                        .truncate = false};
  const RopeFrequencies f = compute_rope(config_with(rope));
  expect_near(f.inv_freq, {1, 0.272999018, 0.0136626968, 0.00395284733, 0.00124999997, 0.000395284733,
                           0.000125000006, 3.95284733e-05});
  EXPECT_FLOAT_EQ(f.attention_factor, 1.3F);
}

TEST(Rope, YarnMscale) {
  RopeConfig rope{.type = RopeType::kYarn,
                  .factor = 40,
                  .original_max_position_embeddings = 4096,
                  .mscale = 1.0,
                  .mscale_all_dim = 0.8};
  const RopeFrequencies f = compute_rope(config_with(rope));
  expect_near(f.inv_freq, {1, 0.316227764, 0.100000001, 0.0239147246, 0.00512499968, 0.000849862176,
                           2.49999994e-05, 7.90569447e-06});
  EXPECT_FLOAT_EQ(f.attention_factor, 1.0569662567531275F);
  rope.mscale_all_dim.reset();  // one alone says nothing
  EXPECT_FLOAT_EQ(compute_rope(config_with(rope)).attention_factor,
                  static_cast<float>(0.1 * std::log(40.0) + 1));
  rope.factor = 1;
  EXPECT_FLOAT_EQ(compute_rope(config_with(rope)).attention_factor, 1.0F);
}

// Both ends of the ramp, from the definition: `turns` at the original context against beta_fast and
// beta_slow.
TEST(Rope, YarnKeepsFastAndInterpolatesSlowDimensions) {
  const RopeConfig rope{
      .type = RopeType::kYarn, .theta = 1e4, .factor = 8, .original_max_position_embeddings = 2048};
  const int dim = 128;
  const auto f = compute_rope(config_with(rope, dim)).inv_freq;
  const auto base = plain(1e4, dim);
  int fast = 0;
  int slow = 0;
  for (size_t i = 0; i < base.size(); ++i) {
    const double turns = 2048 * base[i] / (2 * std::numbers::pi);
    if (turns > 36) {
      EXPECT_NEAR(f[i], base[i], base[i] * 1e-6) << i;
    }
    if (turns < 0.8) {
      EXPECT_NEAR(f[i], base[i] / 8, base[i] * 1e-6) << i;
    }
    if (turns < 31 && turns > 1.2) {
      EXPECT_TRUE(f[i] < base[i] && f[i] > base[i] / 8) << i;
    }
    fast += turns > 36 ? 1 : 0;
    slow += turns < 0.8 ? 1 : 0;
  }
  EXPECT_GT(fast, 5);
  EXPECT_GT(slow, 5);
}

}  // namespace
}  // namespace pegainfer

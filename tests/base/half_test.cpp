#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace pegainfer {
namespace {

TEST(Half, EveryValueSurvivesTheRoundTrip) {
  for (uint32_t v = 0; v < 65536; ++v) {
    const auto h = static_cast<uint16_t>(v);
    const float f = f16_to_f32(h);
    const float b = bf16_to_f32(h);
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(f))));
    } else {
      EXPECT_EQ(f32_to_f16(f), h);
    }
    if (std::isnan(b)) {
      EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(b))));
    } else {
      EXPECT_EQ(f32_to_bf16(b), h);
    }
  }
}

// Nearest, ties to even: no neighbour is closer, and at a tie the chosen one is even.
template <class Up, class Down>
void expect_nearest(float f, Up up, Down down) {
  const uint16_t h = down(f);
  const double chosen = up(h);
  if (std::isinf(chosen)) return;
  const double error = std::fabs(chosen - static_cast<double>(f));
  for (const int step : {-1, 1}) {
    const int neighbour = (h & 0x7fff) + step;
    if (neighbour < 0) continue;
    const double other = up(static_cast<uint16_t>((h & 0x8000) | neighbour));
    if (std::isnan(other) || std::isinf(other)) continue;
    const double other_error = std::fabs(other - static_cast<double>(f));
    EXPECT_LE(error, other_error) << f;
    if (error == other_error) {
      EXPECT_EQ(h & 1, 0) << f;
    }
  }
}

TEST(Half, RoundsToNearestEven) {
  std::mt19937 rng(1);
  for (int i = 0; i < 200'000; ++i) {
    const float f = std::bit_cast<float>(static_cast<uint32_t>(rng()));
    if (!std::isfinite(f)) continue;
    expect_nearest(f, bf16_to_f32, f32_to_bf16);
    if (std::fabs(f) < 65504.0F) expect_nearest(f, f16_to_f32, f32_to_f16);
  }
  EXPECT_EQ(f32_to_f16(65519.9F), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7c00);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::infinity()), 0x7f80);
}

}  // namespace
}  // namespace pegainfer

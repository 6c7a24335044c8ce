#include "kernels/cpu/linear.h"

#include <cmath>

#include "quant_fixture.h"

namespace pegainfer::cpu {
namespace {

// Formats x activation types; every test runs all instruction sets of the machine.
class LinearTest : public testing::TestWithParam<std::tuple<WeightFormat, bool>> {
 protected:
  WeightFormat format_ = std::get<0>(GetParam());
  bool bf16_ = std::get<1>(GetParam());
};

std::string param_name(const testing::TestParamInfo<std::tuple<WeightFormat, bool>>& info) {
  return std::string(info_of(std::get<0>(info.param)).name) + (std::get<1>(info.param) ? "_bf16" : "_f32");
}

INSTANTIATE_TEST_SUITE_P(Formats, LinearTest,
                         testing::Combine(testing::ValuesIn(all_formats()), testing::Bool()), param_name);

std::vector<int64_t> widths(WeightFormat f) {
  if (info_of(f).block_elements == 256) return {256, 512, 1536, 768};
  if (is_quantized(f)) return {32, 64, 576, 1536};
  return {1, 33, 576, 1537, 64, 257};
}

// What plain loops in double give, and how far F32 sums may be from it.
struct Expected {
  std::vector<double> value;
  std::vector<double> tolerance;
};

Expected expect(const Matrix& w, const Activations& x, const std::vector<float>& bias) {
  Expected e;
  for (int64_t t = 0; t < x.m; ++t)
    for (int64_t r = 0; r < w.rows; ++r) {
      double sum = bias.empty() ? 0 : bias[static_cast<size_t>(r)];
      double norm_x = 0;
      double largest = 0;
      for (int64_t c = 0; c < w.cols; ++c) {
        const double v = w.dense[static_cast<size_t>(r * w.cols + c)];
        sum += v * x.at(t, c);
        norm_x += std::fabs(x.at(t, c));
        largest = std::max(largest, std::fabs(v));
      }
      e.value.push_back(sum);
      e.tolerance.push_back(4e-6 * norm_x * largest + 1e-6 * std::fabs(sum) + 1e-12);
    }
  return e;
}

TEST_P(LinearTest, MatchesPlainLoops) {
  const int64_t shapes[][2] = {{1, 1},  {1, 50},  {2, 17},  {3, 16},  {4, 33},  {5, 31},  {6, 32},  {7, 48},
                               {8, 64}, {13, 50}, {17, 40}, {48, 32}, {64, 16}, {65, 33}, {130, 20}};
  uint32_t seed = 1;
  for (const auto& [m, n] : shapes) {
    const std::vector<int64_t> ks = widths(format_);
    const int64_t k = ks[seed % ks.size()];
    const Matrix w(format_, n, k, ++seed);
    const Activations x(bf16_, m, k, ++seed);
    std::vector<float> bias(seed % 2 == 0 ? static_cast<size_t>(n) : 0);
    for (size_t i = 0; i < bias.size(); ++i) bias[i] = static_cast<float>(i) * 0.25F - 2;
    const Expected e = expect(w, x, bias);
    for (const Isa isa : available_isas()) {
      const float* b = bias.empty() ? nullptr : bias.data();
      const std::vector<float> f32 = run_linear(isa, w, x, b);
      const std::vector<float> half = run_linear(isa, w, x, b, true);
      for (size_t i = 0; i < f32.size(); ++i) {
        ASSERT_NEAR(f32[i], e.value[i], e.tolerance[i])
            << name_of(isa) << " m " << m << " n " << n << " k " << k << " at " << i;
        ASSERT_EQ(half[i], round_bf16(f32[i])) << name_of(isa) << " m " << m << " n " << n << " k " << k;
      }
    }
  }
}

TEST_P(LinearTest, ARowIsTheSameInAnyBatchAndAnySplit) {
  const int64_t k = info_of(format_).block_elements == 256 ? 768 : is_quantized(format_) ? 608 : 607;
  const Matrix w(format_, 83, k, 5);
  const Activations all(bf16_, 130, k, 6);
  for (const Isa isa : available_isas()) {
    const std::vector<float> whole = run_linear(isa, w, all);
    std::mt19937 rng(7);
    for (int64_t m = 1; m <= 20; ++m) {
      std::vector<int64_t> order(static_cast<size_t>(m));
      for (int64_t& t : order) t = static_cast<int64_t>(rng() % 130);
      const std::vector<float> part =
          run_linear(isa, w, all.pick(order), nullptr, false, static_cast<uint32_t>(rng()) | 1U);
      for (size_t i = 0; i < order.size(); ++i)
        ASSERT_EQ(std::memcmp(&part[i * 83], &whole[static_cast<size_t>(order[i]) * 83], 83 * sizeof(float)),
                  0)
            << name_of(isa) << ": row " << order[i] << " as row " << i << " of " << m;
    }
  }
}

TEST_P(LinearTest, LongPromptsAreCutIntoTasksOfTokens) {
  const int64_t k = 256;
  const Matrix w(format_, 40, k, 8);
  const Activations all(bf16_, 2 * kLinearTaskTokens + 7, k, 9);
  for (const Isa isa : available_isas()) {
    const std::vector<float> whole = run_linear(isa, w, all, nullptr, false, 3);
    for (const int64_t t : {int64_t{0}, kLinearTaskTokens - 1, kLinearTaskTokens, all.m - 1}) {
      const std::vector<float> alone = run_linear(isa, w, all.pick({t}));
      ASSERT_EQ(std::memcmp(alone.data(), &whole[static_cast<size_t>(t) * 40], 40 * sizeof(float)), 0)
          << name_of(isa) << " token " << t;
    }
  }
}

TEST_P(LinearTest, NanAndInfinityStayInTheirRow) {
  const int64_t k = is_quantized(format_) ? 512 : 511;
  const Matrix w(format_, 21, k, 10);
  for (const int64_t m : {int64_t{3}, int64_t{9}, int64_t{20}}) {
    const Activations clean(bf16_, m, k, 11);
    Activations dirty = clean;
    dirty.at(1, 100) = std::nanf("");
    dirty.at(2, k - 1) = INFINITY;
    dirty.sync();
    for (const Isa isa : available_isas()) {
      const std::vector<float> a = run_linear(isa, w, clean);
      const std::vector<float> b = run_linear(isa, w, dirty);
      for (size_t t = 0; t < static_cast<size_t>(m); ++t)
        for (size_t r = 0; r < 21; ++r) {
          const size_t i = t * 21 + r;
          if (t == 1) {
            ASSERT_TRUE(std::isnan(b[i])) << name_of(isa);
          } else if (t == 2) {
            ASSERT_FALSE(std::isfinite(b[i])) << name_of(isa) << " row " << r;
          } else {
            ASSERT_EQ(a[i], b[i]) << name_of(isa) << " m " << m << " token " << t;
          }
        }
    }
  }
}

TEST(Linear, PreparationsAreSharedByFormatsThatNeedTheSame) {
  for (const Isa isa : available_isas()) {
    const LinearKernels& kernels = linear_kernels(isa);
    EXPECT_EQ(kernels.preparation(WeightFormat::kQ4_K, true, 512),
              kernels.preparation(WeightFormat::kQ5_K, true, 512));
    EXPECT_NE(kernels.preparation(WeightFormat::kQ4_1, true, 512),
              kernels.preparation(WeightFormat::kQ2_K, true, 512));
    EXPECT_EQ(linear_prepared_bytes(kernels.preparation(WeightFormat::kF32, false, 512), 7, 512), 0U);
  }
}

}  // namespace
}  // namespace pegainfer::cpu

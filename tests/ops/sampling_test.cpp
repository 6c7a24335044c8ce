#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "base/philox.h"
#include "ops/machine.h"
#include "ops/matrix.h"

namespace pegainfer::testing {
namespace {

struct Params {
  double temperature = 1;
  int top_k = 0;
  double top_p = 1;
  double min_p = 0;
};

// What sampling is to do, told by a full sort.
struct Reference {
  std::vector<double> probabilities;  // by id, after the filters

  Reference(const std::vector<float>& logits, const Params& p) {
    const size_t n = logits.size();
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return logits[a] > logits[b]; });
    std::vector<double> weights(n);
    for (size_t i = 0; i < n; ++i) {
      weights[i] =
          std::exp((static_cast<double>(logits[i]) - static_cast<double>(logits[order[0]])) / p.temperature);
    }
    size_t kept = n;
    while (kept > 0 && weights[order[kept - 1]] < p.min_p) --kept;
    if (p.top_k > 0) kept = std::min(kept, static_cast<size_t>(p.top_k));
    double total = 0;
    for (size_t i = 0; i < kept; ++i) total += weights[order[i]];
    double sum = 0;
    for (size_t i = 0; i < kept; ++i) {
      sum += weights[order[i]];
      if (sum >= p.top_p * total) {
        kept = i + 1;
        break;
      }
    }
    probabilities.assign(n, 0);
    for (size_t i = 0; i < kept; ++i) probabilities[order[i]] = weights[order[i]] / sum;
  }
  [[nodiscard]] std::set<int> support() const {
    std::set<int> ids;
    for (size_t i = 0; i < probabilities.size(); ++i) {
      if (probabilities[i] > 0) ids.insert(static_cast<int>(i));
    }
    return ids;
  }
};

class SamplingTest : public ::testing::TestWithParam<cpu::Isa> {
 protected:
  std::unique_ptr<Backend> backend_ = checked_cpu(GetParam());

  // One draw for each (seed, position + row) from the same logits.
  std::vector<int> draw(const std::vector<float>& logits, const Params& p, int rows, int64_t seed = 1,
                        int64_t position = 0) {
    const auto n = static_cast<int64_t>(logits.size());
    Matrix all(DType::kF32, rows, n);
    for (int64_t r = 0; r < rows; ++r) {
      std::memcpy(all.tensor().row<float>(r), logits.data(), logits.size() * sizeof(float));
    }
    Matrix temperature(DType::kF32, rows, 1);
    Matrix top_k(DType::kI32, rows, 1);
    Matrix top_p(DType::kF32, rows, 1);
    Matrix min_p(DType::kF32, rows, 1);
    Matrix seeds(DType::kI64, rows, 1);
    Matrix positions(DType::kI64, rows, 1);
    Matrix out(DType::kI32, rows, 1);
    temperature.fill(p.temperature);
    top_k.fill(p.top_k);
    top_p.fill(p.top_p);
    min_p.fill(p.min_p);
    for (int64_t r = 0; r < rows; ++r) {
      *seeds.tensor().row<int64_t>(r) = seed;
      *positions.tensor().row<int64_t>(r) = position + r;
    }
    backend_->ops().sample(all, {temperature, top_k, top_p, min_p, seeds, positions}, out);
    std::vector<int> tokens;
    for (int64_t r = 0; r < rows; ++r) tokens.push_back(static_cast<int>(out.at(r)));
    return tokens;
  }
  int draw_one(const std::vector<float>& logits, const Params& p) { return draw(logits, p, 1)[0]; }
};

std::vector<float> noise_logits(int64_t n, uint64_t seed, double scale) {
  std::vector<float> logits;
  for (int64_t i = 0; i < n; ++i) {
    logits.push_back(static_cast<float>(scale * noise(seed, 20, 0, static_cast<uint64_t>(i))));
  }
  return logits;
}

// Counts against expected probabilities: below the 99.99 % point of chi-square by the Wilson-Hilferty
// formula. The draws have fixed seeds, so this passes always or never.
void expect_distribution(const std::vector<int>& tokens, const Reference& reference,
                         const std::string& what) {
  std::vector<double> counts(reference.probabilities.size());
  for (const int t : tokens) {
    ASSERT_GE(t, 0) << what;
    ASSERT_GT(reference.probabilities[static_cast<size_t>(t)], 0)
        << what << ": token " << t << " is filtered out";
    counts[static_cast<size_t>(t)] += 1;
  }
  const auto draws = static_cast<double>(tokens.size());
  double statistic = 0;
  double rest_expected = 0;  // cells too small for the approximation are taken together
  double rest_count = 0;
  int cells = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    const double expected = reference.probabilities[i] * draws;
    if (expected < 10) {
      rest_expected += expected;
      rest_count += counts[i];
      continue;
    }
    statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
    ++cells;
  }
  if (rest_expected >= 10) {
    statistic += (rest_count - rest_expected) * (rest_count - rest_expected) / rest_expected;
    ++cells;
  }
  const double freedom = std::max(1, cells - 1);
  const double root = 1 - 2 / (9 * freedom) + 3.72 * std::sqrt(2 / (9 * freedom));
  EXPECT_LT(statistic, freedom * root * root * root) << what << " with " << cells << " cells";
}

TEST_P(SamplingTest, GreedyTakesTheLowestIdOnATie) {
  std::vector<float> logits = noise_logits(1000, 1, 3);
  logits[777] = logits[401] = logits[402] = 9;
  EXPECT_EQ(draw_one(logits, {.temperature = 0}), 401);
  EXPECT_EQ(draw_one({5}, {.temperature = 0}), 0);
  EXPECT_EQ(draw_one({-3, -1, -1}, {.temperature = 0}), 1);
  logits[999] = 10;
  EXPECT_EQ(draw_one(logits, {.temperature = 0}), 999);
  // -0 and 0 are one value.
  EXPECT_EQ(draw_one({-1, -0.0F, 0.0F}, {.temperature = 0}), 1);
}

TEST_P(SamplingTest, RowsThatCannotBeSampled) {
  const float inf = HUGE_VALF;
  for (const Params& p :
       {Params{.temperature = 0}, Params{}, Params{.top_k = 5}, Params{.top_p = 0.5}, Params{.min_p = 0.1}}) {
    for (const size_t at : {0, 16, 98, 99}) {
      std::vector<float> logits = noise_logits(100, 2, 3);
      logits[at] = NAN;
      EXPECT_EQ(draw_one(logits, p), -1) << "NaN at " << at;
      logits[at] = inf;
      EXPECT_EQ(draw_one(logits, p), -1) << "infinity at " << at;
      logits[at] = -inf;
      EXPECT_GE(draw_one(logits, p), 0) << "-infinity at " << at;
    }
    EXPECT_EQ(draw_one(std::vector<float>(50, -inf), p), -1);
    std::vector<float> one(50, -inf);
    one[33] = -2;
    EXPECT_EQ(draw_one(one, p), 33);
  }
}

TEST_P(SamplingTest, DistributionsAreRight) {
  const std::vector<Params> all{{},
                                {.temperature = 0.5},
                                {.temperature = 2.5},
                                {.top_k = 1},
                                {.top_k = 12},
                                {.top_k = 299},
                                {.top_p = 0.3},
                                {.top_p = 0.9},
                                {.top_p = 0.999},
                                {.min_p = 0.2},
                                {.min_p = 0.01},
                                {.temperature = 0.8, .top_k = 20, .top_p = 0.7},
                                {.temperature = 1.3, .top_k = 40, .top_p = 0.95, .min_p = 0.05},
                                {.temperature = 3, .top_p = 0.5, .min_p = 0.3}};
  for (const int64_t n : {300, 37, 5}) {
    const std::vector<float> logits = noise_logits(n, 3, 4);
    for (const Params& p : all) {
      expect_distribution(draw(logits, p, 4000), Reference(logits, p),
                          fmt::format("n {} temperature {} top_k {} top_p {} min_p {}", n, p.temperature,
                                      p.top_k, p.top_p, p.min_p));
    }
  }
}

// Over a large vocabulary the filters go other ways: candidates first, thresholds by bisection.
TEST_P(SamplingTest, LargeVocabulary) {
  std::vector<float> logits = noise_logits(50000, 4, 2);
  for (size_t i = 0; i < 40; ++i) logits[i * 1237] += 9 + 3 * static_cast<float>(noise(5, 0, 0, i));
  for (const Params& p :
       {Params{}, Params{.top_k = 20}, Params{.top_k = 2000}, Params{.top_k = 49999}, Params{.top_p = 0.5},
        Params{.top_p = 0.95}, Params{.min_p = 0.02}, Params{.temperature = 6, .top_p = 0.9},
        Params{.temperature = 0.01, .top_p = 0.9}, Params{.top_k = 100, .top_p = 0.8, .min_p = 0.01}}) {
    expect_distribution(
        draw(logits, p, 300), Reference(logits, p),
        fmt::format("temperature {} top_k {} top_p {} min_p {}", p.temperature, p.top_k, p.top_p, p.min_p));
  }
}

// The kept set exactly: with a very high temperature every kept token turns up.
TEST_P(SamplingTest, KeptSets) {
  const std::vector<float> logits{0, 3, 1, 3, 2, 3, -1};
  const auto support = [&](Params p) {
    const std::vector<int> tokens = draw(logits, p, 2000);
    return std::set<int>(tokens.begin(), tokens.end());
  };
  EXPECT_EQ(support({.temperature = 50, .top_k = 1}), (std::set<int>{1}));  // of equals the lowest ids
  EXPECT_EQ(support({.temperature = 50, .top_k = 2}), (std::set<int>{1, 3}));
  EXPECT_EQ(support({.temperature = 50, .top_k = 4}), (std::set<int>{1, 3, 5, 4}));
  EXPECT_EQ(support({.temperature = 50, .top_k = 100}), (std::set<int>{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(support({.temperature = 1e-3, .top_p = 0.34}), (std::set<int>{1, 3}));  // a third each
  EXPECT_EQ(support({.temperature = 1e-3, .top_p = 0.33}), (std::set<int>{1}));
  EXPECT_EQ(support({.top_p = 1e-9}), (std::set<int>{1}));  // one at least
  EXPECT_EQ(support({.min_p = 1}), (std::set<int>{1, 3, 5}));
  // min_p keeps exp(-1) = 0.368 of the largest; top_p then counts what is left as a whole.
  EXPECT_EQ(support({.min_p = 0.36}), (std::set<int>{1, 3, 4, 5}));
  EXPECT_EQ(support({.min_p = 0.37}), (std::set<int>{1, 3, 5}));
  EXPECT_EQ(support({.top_p = 0.85, .min_p = 0.36}), (std::set<int>{1, 3, 5}));
  EXPECT_EQ(support({.top_p = 0.95, .min_p = 0.36}), (std::set<int>{1, 3, 4, 5}));
  EXPECT_EQ(support({.temperature = 50, .top_k = 3, .top_p = 0.6}), (std::set<int>{1, 3}));
}

TEST_P(SamplingTest, ExtremeTemperatures) {
  const std::vector<float> logits = noise_logits(500, 6, 5);
  const int best = draw_one(logits, {.temperature = 0});
  for (const double t : {1e-30, 1e-40, 1e-6}) EXPECT_EQ(draw_one(logits, {.temperature = t}), best);
  expect_distribution(draw(logits, {.temperature = 1e30}, 8000), Reference(logits, {.temperature = 1e30}),
                      "flat");
}

TEST_P(SamplingTest, TheDrawDependsOnSeedAndPositionAlone) {
  const std::vector<float> logits = noise_logits(400, 7, 2);
  const std::vector<int> together = draw(logits, {}, 50, 42, 1000);
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(draw(logits, {}, 1, 42, 1000 + i)[0], together[static_cast<size_t>(i)]);
  EXPECT_NE(draw(logits, {}, 50, 43, 1000), together);
  EXPECT_NE(draw(logits, {}, 50, 42, 2000), together);
  EXPECT_EQ(draw(logits, {}, 50, 42, 1000), together);
}

TEST_P(SamplingTest, Logprobs) {
  const std::vector<float> logits = noise_logits(5000, 8, 20);
  const int64_t n = 5000;
  constexpr int kTop = 7;
  Matrix rows(DType::kF32, 3, n, n + 3);
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < n; ++c) rows.set(r, c, static_cast<double>(logits[static_cast<size_t>(c)]));
  }
  rows.set(0, 100, 25);  // ties at the top
  rows.set(0, 50, 25);
  rows.set(0, 4999, 25);
  rows.set(2, 17, NAN);
  Matrix targets(DType::kI32, 3, 1);
  targets.set(0, 0, 4999);
  targets.set(1, 0, -1);
  Matrix out(DType::kF32, 3, 1);
  Matrix ids(DType::kI32, 3, kTop);
  Matrix top(DType::kF32, 3, kTop);
  backend_->ops().logprobs(rows, targets, kTop, out, ids, top);

  std::vector<int> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return rows.at(0, a) > rows.at(0, b); });
  double sum = 0;
  for (int64_t c = 0; c < n; ++c) sum += std::exp(rows.at(0, c));
  EXPECT_NEAR(out.at(0), 25 - std::log(sum), 1e-6);
  for (int64_t i = 0; i < kTop; ++i) {
    EXPECT_EQ(ids.at(0, i), order[static_cast<size_t>(i)]);
    EXPECT_NEAR(top.at(0, i), rows.at(0, order[static_cast<size_t>(i)]) - std::log(sum), 2e-6);
  }
  EXPECT_TRUE(std::isnan(out.at(1)));  // no target
  EXPECT_LT(top.at(1, 0), 0);
  EXPECT_TRUE(std::isnan(out.at(2)));
  EXPECT_TRUE(std::isnan(top.at(2, 0)));

  Matrix none(DType::kF32, 3, 1);
  backend_->ops().logprobs(rows, targets, 0, none, {}, {});
  EXPECT_EQ(none.at(0), out.at(0));
}

TEST_P(SamplingTest, LogprobsOfAWholeSmallVocabulary) {
  Matrix rows(DType::kF32, 1, 5);
  const double logits[] = {1, -HUGE_VAL, 3, 1, 0};
  for (int64_t c = 0; c < 5; ++c) rows.set(0, c, logits[c]);
  Matrix targets(DType::kI32, 1, 1);
  targets.set(0, 0, 1);
  Matrix out(DType::kF32, 1, 1);
  Matrix ids(DType::kI32, 1, 5);
  Matrix top(DType::kF32, 1, 5);
  backend_->ops().logprobs(rows, targets, 5, out, ids, top);
  const int expected[] = {2, 0, 3, 4, 1};
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(ids.at(0, i), expected[i]);
  EXPECT_EQ(out.at(0), -HUGE_VAL);
  EXPECT_EQ(top.at(0, 4), -HUGE_VAL);
}

INSTANTIATE_TEST_SUITE_P(Cpu, SamplingTest, ::testing::ValuesIn(available_isas()),
                         [](const auto& c) { return std::string(cpu::name_of(c.param)); });

// The known answers published with the generator.
TEST(PhiloxTest, KnownAnswers) {
  EXPECT_EQ(philox4x32_10({0, 0, 0, 0}, {0, 0}),
            (PhiloxBlock{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32_10({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (PhiloxBlock{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32_10({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (PhiloxBlock{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(PhiloxTest, UniformIsInTheUnitInterval) {
  double sum = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    const double u = philox_uniform(7, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  EXPECT_NEAR(sum / 20000, 0.5, 0.01);
}

}  // namespace
}  // namespace pegainfer::testing

// The host's stages against direct computations over small vocabularies: what is left, and how often each is
// drawn.
#include "sampling/host_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <vector>

namespace pegainfer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
using Distribution = std::map<TokenId, double>;

const std::vector<float> kLogits = {1.0F, 3.5F, -2.0F, 2.0F, 0.5F, 3.0F, -1.0F, 2.5F};

Distribution softmax(const std::vector<float>& logits, double temperature, std::vector<TokenId> ids = {}) {
  if (ids.empty()) {
    ids.resize(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
  }
  Distribution out;
  double mass = 0;
  for (const TokenId id : ids)
    mass += out[id] = std::exp(static_cast<double>(logits[static_cast<size_t>(id)]) / temperature);
  for (auto& [id, p] : out) p /= mass;
  return out;
}

Distribution among(const Distribution& d, const std::vector<TokenId>& ids) {
  Distribution out;
  double mass = 0;
  for (const TokenId id : ids) mass += out[id] = d.at(id);
  for (auto& [id, p] : out) p /= mass;
  return out;
}

std::vector<TokenId> likeliest_first(const Distribution& d) {
  std::vector<TokenId> ids;
  for (const auto& [id, p] : d) ids.push_back(id);
  std::ranges::stable_sort(ids, [&](TokenId a, TokenId b) { return d.at(a) > d.at(b); });
  return ids;
}

void expect_left(const HostSampler& sampler, const Distribution& expected, const char* what) {
  ASSERT_EQ(sampler.left().size(), expected.size()) << what;
  for (const HostSampler::Candidate& c : sampler.left()) {
    ASSERT_TRUE(expected.contains(c.token)) << what << ", " << c.token;
    EXPECT_NEAR(c.p, expected.at(c.token), 1e-9) << what << ", " << c.token;
  }
}

struct Sampling {
  HostRow row;
  HostStages stages;
  LogitsWorkList list;
  LogitsWork work;
  HostSampler sampler;

  HostSample sample(const std::vector<float>& logits = kLogits) {
    work.host = stages;
    return sampler.sample(logits, row, work, list);
  }
};

TEST(HostSampler, NothingAskedForIsTheSoftmax) {
  Sampling s;
  s.row.temperature = 0.7F;
  s.sample();
  expect_left(s.sampler, softmax(kLogits, static_cast<double>(0.7F)), "temperature");
}

TEST(HostSampler, DrawsFollowTheDistribution) {
  Sampling s;
  s.stages.typical_p = 0.999F;
  std::map<TokenId, int> counts;
  constexpr int kDraws = 40'000;
  for (int i = 0; i < kDraws; ++i) {
    s.row.seed = 11, s.row.position = static_cast<uint64_t>(i);
    ++counts[s.sample().token];
  }
  double chi = 0;
  for (const HostSampler::Candidate& c : s.sampler.left()) {
    const double expected = c.p * kDraws;
    chi += std::pow(counts[c.token] - expected, 2) / expected;
  }
  EXPECT_LT(chi, 30);  // 7 degrees of freedom: p = 1e-4
}

TEST(HostSampler, PlainFiltersInVllmsOrder) {
  Sampling s;
  s.row.min_p = 0.1F;
  s.sample();
  const Distribution all = softmax(kLogits, 1);
  expect_left(s.sampler, among(all, {1, 3, 5, 7}), "min_p");  // e^-1.5 = 0.22, e^-2.5 = 0.08
  s.row = {.top_k = 3};
  s.sample();
  expect_left(s.sampler, among(all, {1, 5, 7}), "top_k");
  s.row = {.top_p = 0.6F};
  s.sample();
  expect_left(s.sampler, among(all, {1, 5}), "top_p");  // 0.42 + 0.26 = 0.68
  s.row = {.top_k = 3, .top_p = 0.8F};                  // of the three: 0.51, 0.31, 0.19
  s.sample();
  expect_left(s.sampler, among(all, {1, 5}), "top_k, then top_p");
  const std::vector<float> ties = {1, 1, 1, 0};
  s.row = {.top_k = 2};
  s.sample(ties);
  expect_left(s.sampler, {{0, 0.5}, {1, 0.5}}, "the lowest ids of a tie");
}

TEST(HostSampler, TopNSigma) {
  Sampling s;
  double mean = 0;
  for (const float l : kLogits) mean += l / 8.0;
  double variance = 0;
  for (const float l : kLogits) variance += (l - mean) * (l - mean) / 8;
  for (const float n : {0.3F, 0.6F, 1.0F, 2.0F}) {
    s.stages.top_n_sigma = n;
    for (const float temperature : {0.5F, 1.0F, 2.0F}) {  // which does not matter to it
      s.row.temperature = temperature;
      s.sample();
      std::vector<TokenId> ids;
      for (size_t i = 0; i < kLogits.size(); ++i)
        if (kLogits[i] >= 3.5 - static_cast<double>(n) * std::sqrt(variance))
          ids.push_back(static_cast<TokenId>(i));
      expect_left(s.sampler, softmax(kLogits, static_cast<double>(temperature), ids), "top_n_sigma");
    }
  }
}

TEST(HostSampler, TypicalP) {
  Sampling s;
  const Distribution all = softmax(kLogits, 1);
  double entropy = 0;
  for (const auto& [id, p] : all) entropy -= p * std::log(p);
  std::vector<TokenId> order = likeliest_first(all);
  std::ranges::stable_sort(order, {}, [&](TokenId id) { return std::abs(-std::log(all.at(id)) - entropy); });
  EXPECT_NE(order[0], 1);  // the likeliest is not the most typical
  for (const float typical : {0.1F, 0.3F, 0.6F, 0.9F}) {
    s.stages.typical_p = typical;
    s.sample();
    std::vector<TokenId> kept;
    double mass = 0;
    for (const TokenId id : order) {
      kept.push_back(id);
      if ((mass += all.at(id)) > static_cast<double>(typical)) break;
    }
    expect_left(s.sampler, among(all, kept), "typical_p");
  }
}

// With its probability, all at or above the threshold but the least likely of them go.
TEST(HostSampler, Xtc) {
  Sampling s;
  s.stages.xtc_threshold = 0.1F;
  const Distribution all = softmax(kLogits, 1);  // 1: 0.42, 5: 0.26, 7: 0.16; 3: 0.09
  s.stages.xtc_probability = 1;
  s.sample();
  expect_left(s.sampler, among(all, {0, 2, 3, 4, 6, 7}), "always");
  s.stages.xtc_threshold = 0.3F;  // one reaches it: nothing to choose between
  s.sample();
  expect_left(s.sampler, all, "one above");
  s.stages.xtc_threshold = 0.1F;
  s.stages.xtc_probability = 0.25F;
  int num_cut = 0;
  for (uint64_t i = 0; i < 8000; ++i) {
    s.row.position = i;
    s.sample();
    num_cut += s.sampler.left().size() == 6 ? 1 : 0;
  }
  EXPECT_NEAR(num_cut, 2000, 5 * std::sqrt(8000 * 0.25 * 0.75));
}

TEST(HostSampler, DynamicTemperature) {
  Sampling s;
  s.row.temperature = 1.0F;
  s.stages.dynatemp_range = 0.75F;
  const Distribution all = softmax(kLogits, 1);
  double entropy = 0;
  for (const auto& [id, p] : all) entropy -= p * std::log(p);
  for (const float exponent : {0.5F, 1.0F, 2.0F}) {
    s.stages.dynatemp_exponent = exponent;
    s.sample();
    const double t = 0.25 + 1.5 * std::pow(entropy / std::log(8.0), static_cast<double>(exponent));
    expect_left(s.sampler, softmax(kLogits, t), "dynatemp");
  }
  s.stages.dynatemp_exponent = 1;
  const std::vector<float> flat(8, 1.5F);  // as uncertain as can be: no other temperature shows, but one
  s.sample(flat);
  expect_left(s.sampler, softmax(flat, 1), "flat");
}

TEST(HostSampler, MirostatTwoCutsAtMuAndAdapts) {
  Sampling s;
  const Distribution all = softmax(kLogits, 1);
  s.stages.mirostat = {.version = 2, .tau = 1.5F, .eta = 0.3F};
  for (const float mu : {0.0F, 1.0F, 2.2F, 3.0F, 20.0F}) {
    s.stages.mirostat_mu = mu;
    const HostSample out = s.sample();
    std::vector<TokenId> kept;
    for (const auto& [id, p] : all)
      if (-std::log2(p) <= static_cast<double>(mu)) kept.push_back(id);
    if (kept.empty()) kept.push_back(1);
    const Distribution expected = among(all, kept);
    expect_left(s.sampler, expected, "mirostat 2");
    const double surprise = -std::log2(expected.at(out.token));
    EXPECT_NEAR(out.mirostat_mu, static_cast<double>(mu) - 0.3 * (surprise - 1.5), 1e-5);
  }
}

TEST(HostSampler, MirostatOneKeepsTheTopK) {
  Sampling s;
  const Distribution all = softmax(kLogits, 1);
  const std::vector<TokenId> order = likeliest_first(all);
  double products = 0;
  double squares = 0;
  for (size_t i = 0; i + 1 < order.size(); ++i) {
    const double t = std::log((static_cast<double>(i) + 2) / (static_cast<double>(i) + 1));
    products += t * std::log(all.at(order[i]) / all.at(order[i + 1]));
    squares += t * t;
  }
  const double exponent = products / squares;
  s.stages.mirostat = {.version = 1, .tau = 2, .eta = 0.1F};
  for (const float mu : {-3.0F, 1.0F, 2.0F, 3.0F, 4.0F, 10.0F}) {
    s.stages.mirostat_mu = mu;
    const HostSample out = s.sample();
    const double k =
        std::pow((exponent - 1) * std::exp2(static_cast<double>(mu)) / (1 - std::pow(8.0, 1 - exponent)),
                 1 / exponent);
    const auto count = std::clamp<size_t>(static_cast<size_t>(k), 1, order.size());
    const Distribution expected =
        among(all, {order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count)});
    expect_left(s.sampler, expected, "mirostat 1");
    EXPECT_NEAR(out.mirostat_mu, static_cast<double>(mu) - 0.1 * (-std::log2(expected.at(out.token)) - 2),
                1e-5);
  }
}

// What a mirostat run is for: the mean surprise comes to tau.
TEST(HostSampler, MirostatHoldsTheSurprise) {
  std::vector<float> logits(200);
  for (size_t i = 0; i < logits.size(); ++i) logits[i] = -1.2F * std::log(static_cast<float>(i) + 1);  // Zipf
  for (const int version : {1, 2}) {
    Sampling s;
    s.stages.mirostat = {.version = version, .tau = 3, .eta = 0.1F};
    s.stages.mirostat_mu = 6;
    double sum = 0;
    constexpr int kDraws = 4000;
    for (int i = 0; i < kDraws; ++i) {
      s.row.position = static_cast<uint64_t>(i);
      const HostSample out = s.sample(logits);
      s.stages.mirostat_mu = out.mirostat_mu;
      for (const auto& c : s.sampler.left())
        if (c.token == out.token) sum -= std::log2(c.p);
    }
    EXPECT_NEAR(sum / kDraws, 3, 0.1) << "version " << version;
  }
}

TEST(HostSampler, EditsMasksAndPenaltiesComeFirst) {
  Sampling s;
  s.list.edits = {{1, -kInfinity}, {2, 6}};
  s.list.said = {{2, 2}, {6, 0}, {5, 1}};
  s.list.masks = {0b1111'0111U};
  s.list.num_masks = 1;
  s.work = {.num_edits = 2, .num_said = 3, .repetition = 2, .presence = 0.5F, .frequency = 0.25F, .mask = 0};
  s.sample();
  std::vector<float> expected = kLogits;
  expected[2] = (-2.0F + 6.0F) / 2 - 2 * 0.25F - 0.5F;
  expected[6] = -1.0F * 2;  // in the prompt only
  expected[5] = 3.0F / 2 - 0.25F - 0.5F;
  expect_left(s.sampler, softmax(expected, 1, {0, 2, 4, 5, 6, 7}), "processed");
}

TEST(HostSampler, RowsThatAreNone) {
  Sampling s;
  std::vector<float> logits = kLogits;
  logits[3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(s.sample(logits).token, -1);
  logits[3] = kInfinity;
  EXPECT_EQ(s.sample(logits).token, -1);
  EXPECT_EQ(s.sample(std::vector<float>(5, -kInfinity)).token, -1);
  EXPECT_EQ(s.sample({-kInfinity, 2, -kInfinity}).token, 1);
}

TEST(HostSampler, LogprobsAreOfTheRawRow) {
  const Distribution all = softmax(kLogits, 1);
  const PositionLogprobs got = host_logprobs(kLogits, 3, 2);
  EXPECT_EQ(got.chosen.token, 3);
  EXPECT_NEAR(got.chosen.logprob, std::log(all.at(3)), 1e-6);
  ASSERT_EQ(got.top.size(), 2U);
  EXPECT_EQ(got.top[0].token, 1);
  EXPECT_EQ(got.top[1].token, 5);
  EXPECT_NEAR(got.top[1].logprob, std::log(all.at(5)), 1e-6);
}

}  // namespace
}  // namespace pegainfer

#include "metrics/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <thread>

#include "metrics/buckets.h"

namespace pegainfer::metrics {
namespace {

TEST(HistogramTest, ABoundBelongsToItsBucket) {
  Histogram histogram({1, 2, 5});
  for (const double value : {0.0, 1.0, 1.5, 2.0, 2.1, 5.0, 5.1, 1e9, -1.0}) histogram.observe(value);
  EXPECT_EQ(histogram.counts(), (std::vector<uint64_t>{3, 2, 2, 2}));
  EXPECT_DOUBLE_EQ(histogram.sum(), 1e9 + 15.7);
}

// The bucket that is tried first must not change the answer.
TEST(HistogramTest, CountsAsALinearSearchDoes) {
  const std::vector<double> bounds = first_token_buckets();
  Histogram histogram(bounds);
  std::vector<uint64_t> expected(bounds.size() + 1);
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> exponent(-4, 4);
  for (int i = 0; i < 20'000; ++i) {
    const double value = i % 3 == 0 ? bounds[random() % bounds.size()] : std::pow(10.0, exponent(random));
    size_t bucket = 0;
    while (bucket < bounds.size() && value > bounds[bucket]) ++bucket;
    ++expected[bucket];
    histogram.observe(value);
  }
  EXPECT_EQ(histogram.counts(), expected);
}

TEST(HistogramTest, IsReadWhileItIsWritten) {
  Histogram histogram({1, 2});
  std::jthread writer([&] {
    for (int i = 0; i < 100'000; ++i) histogram.observe(i % 4);
  });
  uint64_t before = 0;
  for (int i = 0; i < 1000; ++i) {
    uint64_t count = 0;
    for (const uint64_t c : histogram.counts()) count += c;
    EXPECT_GE(count, before);
    before = count;
  }
  writer.join();
  EXPECT_EQ(histogram.counts(), (std::vector<uint64_t>{50'000, 25'000, 25'000}));
}

TEST(BucketsTest, OneTwoFive) {
  EXPECT_EQ(one_two_five_buckets(0), std::vector<double>{});
  EXPECT_EQ(one_two_five_buckets(49), (std::vector<double>{1, 2, 5, 10, 20}));
  EXPECT_EQ(one_two_five_buckets(50), (std::vector<double>{1, 2, 5, 10, 20, 50}));
  EXPECT_EQ(one_two_five_buckets(40960).back(), 20000);
}

TEST(BucketsTest, AllRise) {
  for (const auto& bounds : {first_token_buckets(), inter_token_buckets(), request_time_buckets(),
                             iteration_token_buckets(), num_choices_buckets(), http_time_buckets()}) {
    EXPECT_TRUE(std::is_sorted(bounds.begin(), bounds.end(), std::less_equal<>()));
  }
}

}  // namespace
}  // namespace pegainfer::metrics

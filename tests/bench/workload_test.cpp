#include "bench/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "tokenizer/byte_tokenizer.h"

namespace pegainfer::bench {
namespace {

TEST(Workload, TheSameSeedIsTheSameWorkload) {
  RandomOptions options{.num_prompts = 50, .input_len = 40, .output_len = 10, .range_ratio = 0.5, .seed = 3};
  const auto a = random_ids(options, {.first_id = 100, .num_ids = 1000});
  const auto b = random_ids(options, {.first_id = 100, .num_ids = 1000});
  options.seed = 4;
  const auto c = random_ids(options, {.first_id = 100, .num_ids = 1000});
  ASSERT_TRUE(a && b && c);
  bool differs = false;
  int least = 1000;
  int most = 0;
  for (size_t i = 0; i < 50; ++i) {
    EXPECT_EQ((*a)[i].prompt, (*b)[i].prompt);
    EXPECT_EQ((*a)[i].output_len, (*b)[i].output_len);
    differs = differs || (*a)[i].prompt != (*c)[i].prompt;
    EXPECT_EQ((*a)[i].prompt_len, static_cast<int>((*a)[i].prompt.size()));
    for (const TokenId id : (*a)[i].prompt) EXPECT_TRUE(id >= 100 && id < 1100);
    least = std::min(least, (*a)[i].prompt_len);
    most = std::max(most, (*a)[i].prompt_len);
  }
  EXPECT_TRUE(differs);
  EXPECT_GE(least, 20);
  EXPECT_LE(most, 60);
  EXPECT_GT(most - least, 20);  // they are spread
}

TEST(Workload, SharedPrefixAndWords) {
  const RandomOptions options{.num_prompts = 5, .input_len = 30, .output_len = 1, .prefix_len = 20};
  const auto ids = random_ids(options, {.first_id = 0, .num_ids = 256});
  ASSERT_TRUE(ids);
  for (const BenchRequest& r : *ids) {
    EXPECT_EQ(r.prompt_len, 50);
    EXPECT_TRUE(std::equal(r.prompt.begin(), r.prompt.begin() + 20, ids->front().prompt.begin()));
  }
  const auto words = random_words(options);
  ASSERT_TRUE(words);
  EXPECT_EQ(std::ranges::count((*words)[0].text, ' '), 49);
  // A vocabulary without whole words cannot give texts of an exact length.
  EXPECT_FALSE(random_text(options, ByteTokenizer()));
}

TEST(Workload, ArrivalsHaveTheirRate) {
  std::vector<BenchRequest> requests(2000);
  set_arrivals(requests, 100, 1, 7);
  EXPECT_NEAR(requests.back().arrival, 20, 0.5);
  EXPECT_TRUE(std::ranges::is_sorted(requests, {}, &BenchRequest::arrival));
  // A Poisson process: as many intervals below a tenth of the mean as 1 - exp(-0.1).
  int brief = 0;
  for (size_t i = 1; i < requests.size(); ++i)
    if (requests[i].arrival - requests[i - 1].arrival < 0.001) ++brief;
  EXPECT_NEAR(brief, 2000 * 0.0952, 60);
  set_arrivals(requests, std::numeric_limits<double>::infinity(), 1, 7);
  EXPECT_EQ(requests.back().arrival, 0);
}

}  // namespace
}  // namespace pegainfer::bench

#include "bench/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

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

class DatasetFile : public ::testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove(path_); }
  const std::string& write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  const std::string path_ = ::testing::TempDir() + "/dataset-" +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".jsonl";
};

TEST_F(DatasetFile, LinesBecomeRequests) {
  const auto requests = custom_dataset(write("{\"prompt\": \"one\", \"output_tokens\": 7}\n\n  \r\n"
                                             "{\"prompt\": \"zwei \\u00e4\", \"more\": 1}\r\n"
                                             "{\"prompt\": \"three\"}"),
                                       10, 5);
  ASSERT_TRUE(requests);
  ASSERT_EQ(requests->size(), 3U);
  EXPECT_EQ((*requests)[0].text, "one");
  EXPECT_EQ((*requests)[0].output_len, 7);
  EXPECT_EQ((*requests)[1].text, "zwei \u00e4");
  EXPECT_EQ((*requests)[1].output_len, 5);
  EXPECT_EQ((*requests)[2].text, "three");
  EXPECT_EQ(custom_dataset(path_, 2, 5)->size(), 2U);
}

TEST_F(DatasetFile, WhatIsWrongIsNamedWithItsLine) {
  const auto message = [&](const std::string& text) {
    const auto requests = custom_dataset(write(text), 10, 5);
    return requests ? std::string("no error") : requests.error().message;
  };
  const std::string good = "{\"prompt\": \"a\"}\n";
  EXPECT_NE(message(good + "{\"prompt\": 3}").find(path_ + ":2: \"prompt\" is an integer"), std::string::npos)
      << message(good + R"({"prompt": 3})");
  EXPECT_NE(message(good + "\n[]").find(":3: a line is a JSON object"), std::string::npos);
  EXPECT_NE(message("{\"prompt\"").find(":1: "), std::string::npos);
  EXPECT_NE(message(good + "{\"prompt\": \"a\", \"output_tokens\": 0}").find(":2: output_tokens is 0"),
            std::string::npos);
  EXPECT_NE(message(good + "{}").find(":2: "), std::string::npos);
  EXPECT_NE(message("\n\n").find("no prompts"), std::string::npos);
  EXPECT_FALSE(custom_dataset(path_ + ".missing", 10, 5));
}

TEST_F(DatasetFile, ATraceIsSortedByArrival) {
  const std::string lines =
      "{\"arrival_s\": 2, \"prompt_tokens\": 3, \"output_tokens\": 4}\n"
      "{\"arrival_s\": 0.5, \"prompt_tokens\": 5, \"output_tokens\": 6}\n"
      "{\"arrival_s\": 2.0, \"prompt_tokens\": 7, \"output_tokens\": 8}\n";
  const IdRange range{.first_id = 10, .num_ids = 5};
  const auto requests = trace_dataset(write(lines), range, 3);
  ASSERT_TRUE(requests);
  ASSERT_EQ(requests->size(), 3U);
  for (size_t i = 0; i < 3; ++i) {
    const BenchRequest& r = (*requests)[i];
    EXPECT_EQ(r.prompt_len, (std::array{5, 3, 7})[i]);
    EXPECT_EQ(r.output_len, r.prompt_len + 1);
    EXPECT_EQ(r.prompt.size(), static_cast<size_t>(r.prompt_len));
    for (const TokenId id : r.prompt) EXPECT_TRUE(id >= 10 && id < 15);
    EXPECT_EQ(r.prompt, (*trace_dataset(path_, range, 3))[i].prompt);
  }
  for (const char* wrong : {"{\"arrival_s\": -1, \"prompt_tokens\": 3, \"output_tokens\": 4}",
                            "{\"arrival_s\": 0, \"prompt_tokens\": 0, \"output_tokens\": 4}",
                            "{\"arrival_s\": 0, \"prompt_tokens\": 3}",
                            "{\"arrival_s\": \"now\", \"prompt_tokens\": 3, \"output_tokens\": 4}", ""})
    EXPECT_FALSE(trace_dataset(write(wrong), range, 3)) << wrong;
}

}  // namespace
}  // namespace pegainfer::bench

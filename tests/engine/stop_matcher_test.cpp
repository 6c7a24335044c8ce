#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "support/cpu_time.h"

namespace pegainfer {
namespace {

struct Found {
  size_t begin;
  size_t end;
};

// The definition, by search over the whole text: the stop that ends first, the longest of those.
std::optional<Found> naive_search(std::string_view text, const std::vector<std::string>& stops) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops)
      if (!stop.empty() && text.substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    if (longest > 0) return Found{end - longest, end};
  }
  return std::nullopt;
}

size_t naive_withheld(std::string_view text, const std::vector<std::string>& stops) {
  size_t longest = 0;
  for (const std::string& stop : stops)
    for (size_t n = 1; n < stop.size() && n <= text.size(); ++n)
      if (text.ends_with(std::string_view(stop).substr(0, n))) longest = std::max(longest, n);
  return longest;
}

TEST(StopMatcher, FindsAcrossPieces) {
  const std::vector<std::string> stops{"</s>", "END"};
  StopMatcher m(stops);
  EXPECT_FALSE(m.push("abc</"));
  EXPECT_EQ(m.withheld(), 2U);
  EXPECT_FALSE(m.push("s"));
  EXPECT_EQ(m.withheld(), 3U);
  EXPECT_FALSE(m.push("E"));
  EXPECT_EQ(m.withheld(), 1U);
  const auto match = m.push("NDing");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->begin, 6U);
  EXPECT_EQ(match->end, 9U);
  EXPECT_EQ(match->stop, 1U);
}

TEST(StopMatcher, WithoutStopsNothingIsWithheld) {
  StopMatcher none({});
  EXPECT_FALSE(none.push("anything"));
  EXPECT_EQ(none.withheld(), 0U);
  const std::vector<std::string> empty{""};
  StopMatcher blank(empty);
  EXPECT_FALSE(blank.push("anything"));
}

TEST(StopMatcher, TheLongestOfThoseThatEndTogetherTheFirstOfEqualOnes) {
  const std::vector<std::string> stops{"b", "ab", "ab"};
  StopMatcher m(stops);
  const auto match = m.push("xab");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->begin, 1U);
  EXPECT_EQ(match->stop, 1U);
}

// Small alphabets make overlaps, shared prefixes and stops inside stops frequent.
TEST(StopMatcher, EqualsNaiveSearchInAnyPieces) {
  std::mt19937 rng(11);
  int matches = 0;
  for (int round = 0; round < 20000; ++round) {
    const auto alphabet = 1 + rng() % 3;
    const auto random_text = [&](size_t length) {
      std::string s(length, ' ');
      for (char& c : s) c = static_cast<char>('a' + rng() % alphabet);
      return s;
    };
    std::vector<std::string> stops;
    for (size_t i = 0, n = 1 + rng() % 4; i < n; ++i) stops.push_back(random_text(1 + rng() % 6));
    const std::string text = random_text(rng() % 30);
    const auto expected = naive_search(text, stops);
    StopMatcher matcher(stops);
    std::optional<StopMatcher::Match> got;
    size_t at = 0;
    while (at < text.size() && !got) {
      const size_t length = std::min<size_t>(rng() % 5, text.size() - at);
      got = matcher.push(std::string_view(text).substr(at, length));
      at += length;
      if (!got) {
        ASSERT_EQ(matcher.withheld(), naive_withheld(std::string_view(text).substr(0, at), stops));
      }
    }
    ASSERT_EQ(got.has_value(), expected.has_value()) << text;
    if (!got) continue;
    ++matches;
    ASSERT_EQ(got->begin, expected->begin);
    ASSERT_EQ(got->end, expected->end);
    ASSERT_EQ(text.substr(got->begin, got->end - got->begin), stops[got->stop]);
  }
  EXPECT_GT(matches, 5000);
}

TEST(StopMatcher, IsLinearOnTheTextThatHurtsNaiveSearch) {
  const std::string text(1 << 20, 'a');
  // What a byte costs does not depend on how much of a stop string it may belong to.
  const auto seconds = [&](size_t length) {
    const std::vector<std::string> stops{std::string(length, 'a') + "b", std::string(length - 1, 'a') + "c"};
    return testing::best_cpu_seconds([&] {
      StopMatcher m(stops);
      EXPECT_FALSE(m.push(text));
      EXPECT_EQ(m.withheld(), length);
    });
  };
  EXPECT_LT(seconds(2000), 10 * seconds(20));
}

}  // namespace
}  // namespace pegainfer

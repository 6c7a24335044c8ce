#include "tokenizer/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace pegainfer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> matches(std::string_view pattern, std::string_view text) {
  auto regex = Regex::compile(pattern);
  if (!regex) return {"error: " + regex.error().message};
  std::vector<std::string> out;
  Regex::Finder finder(**regex, text);
  Regex::Match match;
  while (finder.next(&match)) out.emplace_back(text.substr(match.begin, match.end - match.begin));
  return out;
}

std::string error_of(std::string_view pattern) {
  auto regex = Regex::compile(pattern);
  return regex ? "" : regex.error().message;
}

TEST(Regex, OnigurumaMeaning) {
  EXPECT_THAT(matches(R"(\h+)", "xdeadBEEFg 12"), ElementsAre("deadBEEF", "12"));
  EXPECT_THAT(matches(R"(^\w+$)", "ab\ncd"), ElementsAre("ab", "cd"));
  EXPECT_THAT(matches(R"(\s+)",
                      "a\xE1\xA0\x8E"
                      "b\xC2\x85"
                      "c"),
              ElementsAre("\xC2\x85"));  // U+180E is no space
  EXPECT_THAT(matches(R"(\p{Letter}+|\p{^L}+)", "ab1"), ElementsAre("ab", "1"));
  EXPECT_THAT(matches(R"([[a-c]x]+)", "abxd"), ElementsAre("abx"));
  EXPECT_THAT(matches(R"([]a]+)", "x]a"), ElementsAre("]a"));
}

TEST(Regex, KnowsLettersNewerThanItsEngine) {
  EXPECT_THAT(matches(R"(\p{L}+)", "a\xF0\xB1\x8D\x90 "), ElementsAre("a\xF0\xB1\x8D\x90"));
  EXPECT_THAT(matches(R"([^\p{L}]+)", "a\xF0\xB1\x8D\x90 "), ElementsAre(" "));
  EXPECT_THAT(matches(R"(\P{L}+)", "a\xF0\xB1\x8D\x90 "), ElementsAre(" "));
}

TEST(Regex, EmptyMatchesAsOnigurumaFindsThem) {
  // None right after the match "b".
  EXPECT_THAT(matches("b*", "abc"), ElementsAre("", "b", ""));
}

TEST(Regex, WhatIsNotSupportedIsNamed) {
  EXPECT_THAT(error_of(R"([a&&b])"), HasSubstr("intersection"));
  EXPECT_THAT(error_of(R"((?m:.))"), HasSubstr("option (?m"));
  EXPECT_THAT(error_of(R"(a\Kb)"), HasSubstr("\\K"));
  EXPECT_THAT(error_of("(unclosed"), HasSubstr("cannot be compiled"));
  EXPECT_THAT(error_of("a\\"), HasSubstr("backslash"));
  EXPECT_THAT(error_of(R"(\p{Nonsense})"), HasSubstr("cannot be compiled"));
}

TEST(Regex, UnboundedBacktrackingEnds) {
  // Exponential without the limit; what is asked is only that it ends and that later text is still looked at.
  const std::string text = std::string(26, 'a') + "!";
  EXPECT_THAT(matches("(a+)+$|!", text), ElementsAre("!"));
}

}  // namespace
}  // namespace pegainfer

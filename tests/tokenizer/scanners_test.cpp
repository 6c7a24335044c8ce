#include "tokenizer/scanners.h"

#include <gtest/gtest.h>

#include <random>

#include "tokenizer/regex.h"

namespace pegainfer {
namespace {

// Texts that are dense in what the patterns care about.
std::string random_text(std::mt19937& rng) {
  static const std::vector<std::string> kBits = {" ",
                                                 " ",
                                                 " ",
                                                 "\n",
                                                 "\r",
                                                 "\t",
                                                 "\xC2\xA0",
                                                 "\xE3\x80\x80",
                                                 "'",
                                                 "'s",
                                                 "'S",
                                                 "'ll",
                                                 "'Re",
                                                 "'\xC5\xBF",
                                                 "a",
                                                 "B",
                                                 "cd",
                                                 "É",
                                                 "ß",
                                                 "ǅ",
                                                 "ʰ",
                                                 "ª",
                                                 "日",
                                                 "ア",
                                                 "\xCC\x81",
                                                 "\xE0\xA4\xBE",
                                                 "1",
                                                 "23",
                                                 "٣",
                                                 "Ⅷ",
                                                 "½",
                                                 ".",
                                                 ",!",
                                                 "/",
                                                 "_",
                                                 "😀",
                                                 "\xE2\x80\x8D",
                                                 "€",
                                                 "\xF0\xB1\x8D\x90",
                                                 "\xF0\x90\xB5\x90",
                                                 "\x01",
                                                 "\xF4\x8F\xBF\xBF"};
  std::uniform_int_distribution<size_t> pick(0, kBits.size() - 1);
  std::uniform_int_distribution<int> length(1, 14);
  std::string text;
  for (int i = length(rng); i > 0; --i) text += kBits[pick(rng)];
  return text;
}

class ScannerTest : public ::testing::TestWithParam<std::string_view> {};

TEST_P(ScannerTest, CutsAsTheExpressionDoes) {
  const ScanFn scan = find_scanner(GetParam());
  ASSERT_NE(scan, nullptr);
  auto regex = Regex::compile(GetParam());
  ASSERT_TRUE(regex) << regex.error().message;
  const auto& classes = unicode::ClassTable::get();
  std::mt19937 rng(1);
  for (int i = 0; i < 20000; ++i) {
    const std::string text = random_text(rng);
    Regex::Finder finder(**regex, text);
    Regex::Match match;
    size_t pos = 0;
    while (finder.next(&match)) {
      ASSERT_EQ(match.begin, pos) << text;
      ASSERT_EQ(match.end, scan(classes, text, pos))
          << "at " << pos << " of " << ::testing::PrintToString(text);
      pos = match.end;
    }
    ASSERT_EQ(pos, text.size());
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, ScannerTest,
                         ::testing::Values(kGpt2Pattern, kLlama3Pattern, kQwen2Pattern, kO200kPattern));

TEST(Scanners, AnotherPatternHasNone) { EXPECT_EQ(find_scanner(R"(\p{L}+)"), nullptr); }

}  // namespace
}  // namespace pegainfer

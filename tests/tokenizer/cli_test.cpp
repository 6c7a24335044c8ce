#include "tokenizer/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tokenizer/small_tokenizers.h"

namespace pegainfer {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct Outcome {
  int code;
  std::string out, err;
};

Outcome tokenize(const std::string& input, bool add_special, bool jsonl) {
  const auto t = testing::load(testing::sentencepiece_json());
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  const int code = run_tokenize(*t, add_special, jsonl, in, out, err);
  return {code, out.str(), err.str()};
}
Outcome detokenize(const std::string& input, bool jsonl) {
  const auto t = testing::load(testing::sentencepiece_json());
  std::istringstream in(input);
  std::ostringstream out;
  std::ostringstream err;
  const int code = run_detokenize(*t, jsonl, in, out, err);
  return {code, out.str(), err.str()};
}

TEST(TokenizeCli, AllOfTheInputIsOneText) {
  EXPECT_EQ(tokenize("ab", true, false).out, "[1, 264]\n");
  EXPECT_EQ(tokenize("ab", false, false).out, "[264]\n");
  EXPECT_EQ(tokenize("ab\n", false, false).out, "[264, 13]\n");  // the newline belongs to it
  EXPECT_EQ(tokenize("", false, false).out, "[]\n");
}

TEST(TokenizeCli, LinesOfJson) {
  const Outcome o = tokenize("\"ab\"\n\"a\\nb<s>\"\n\"\"\n", false, true);
  EXPECT_EQ(o.code, 0);
  EXPECT_EQ(o.out, "[264]\n[262, 13, 261, 1]\n[]\n");
}

TEST(TokenizeCli, ABadLineIsNamed) {
  for (const char* bad : {"ab", "7", "[\"x\"]", "\"unfinished", ""}) {
    const Outcome o = tokenize(std::string("\"ab\"\n") + bad + "\n\"ab\"\n", false, true);
    EXPECT_EQ(o.code, 2) << bad;
    EXPECT_EQ(o.out, "[264]\n");
    EXPECT_THAT(o.err, StartsWith("error: line 2 of standard input: "));
  }
  const Outcome broken = tokenize("a\xFF", false, false);
  EXPECT_EQ(broken.code, 2);
  EXPECT_THAT(broken.err, HasSubstr("UTF-8 at byte 1"));
}

TEST(DetokenizeCli, ExactlyTheText) {
  EXPECT_EQ(detokenize("[1, 264]", false).out, "<s> ab");
  EXPECT_EQ(detokenize("[264]\n", false).out, "ab");
  EXPECT_EQ(detokenize("[]", false).out, "");
  EXPECT_EQ(detokenize("[264]\n[264, 13]\n", true).out, "\"ab\"\n\"ab\\n\"\n");
}

TEST(DetokenizeCli, ErrorsNameTheLineAndTheItem) {
  const Outcome o = detokenize("[264]\n[1, 100000]\n", true);
  EXPECT_EQ(o.code, 2);
  EXPECT_EQ(o.out, "\"ab\"\n");
  EXPECT_THAT(o.err, HasSubstr("line 2 of standard input: item 1 is 100000"));
  EXPECT_EQ(detokenize("{}", false).code, 2);
  EXPECT_EQ(detokenize("[1.5]", false).code, 2);
  EXPECT_EQ(detokenize("[1", false).code, 2);
}

}  // namespace
}  // namespace pegainfer

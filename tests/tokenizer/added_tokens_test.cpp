#include "tokenizer/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pegainfer {
namespace {

using ::testing::ElementsAre;

struct Cut {
  std::string text;
  TokenId id;
  bool operator==(const Cut&) const = default;
};
void PrintTo(const Cut& c, std::ostream* os) { *os << c.text << ':' << c.id; }

class AddedTokensTest : public ::testing::Test {
 protected:
  void add(
      TokenId id, std::string content, void (*set)(AddedToken&) = [](AddedToken&) {}) {
    AddedToken token;
    token.id = id;
    token.content = std::move(content);
    set(token);
    matcher_.add(token.content, token);
  }
  std::vector<Cut> cut(std::string_view text) {
    matcher_.finish();
    std::vector<Cut> out;
    matcher_.split(text, [&](size_t begin, size_t end, TokenId id) {
      out.push_back({std::string(text.substr(begin, end - begin)), id});
    });
    return out;
  }
  AddedTokenMatcher matcher_;
};

TEST_F(AddedTokensTest, LeftmostThenLongest) {
  add(1, "ab");
  add(2, "abcd");
  add(3, "bcde");
  EXPECT_THAT(cut("xabcde"), ElementsAre(Cut{"x", -1}, Cut{"abcd", 2}, Cut{"e", -1}));
}

TEST_F(AddedTokensTest, AFailedLongMatchGivesTheShortOne) {
  add(1, "<a");
  add(2, "<a|b>");
  EXPECT_THAT(cut("<a|b<a|b>"), ElementsAre(Cut{"<a", 1}, Cut{"|b", -1}, Cut{"<a|b>", 2}));
}

TEST_F(AddedTokensTest, SingleWord) {
  add(1, "cat", [](AddedToken& t) { t.single_word = true; });
  EXPECT_THAT(cut("cat concat cat_ (cat)"),
              ElementsAre(Cut{"cat", 1}, Cut{" concat cat_ (", -1}, Cut{"cat", 1}, Cut{")", -1}));
}

TEST_F(AddedTokensTest, StripsWhiteSpace) {
  add(1, "[L]", [](AddedToken& t) { t.lstrip = true; });
  add(2, "[R]", [](AddedToken& t) { t.rstrip = true; });
  EXPECT_THAT(cut("a \n[L] b [R]\xE3\x80\x80 c"), ElementsAre(Cut{"a", -1}, Cut{" \n[L]", 1}, Cut{" b ", -1},
                                                              Cut{"[R]\xE3\x80\x80 ", 2}, Cut{"c", -1}));
}

TEST_F(AddedTokensTest, WhatOneStrippedTheNextDoesNotTakeAgain) {
  add(1, "[L]", [](AddedToken& t) { t.lstrip = true; });
  add(2, "[R]", [](AddedToken& t) { t.rstrip = true; });
  EXPECT_THAT(cut("[R]  [L]"), ElementsAre(Cut{"[R]  ", 2}, Cut{"[L]", 1}));
}

TEST_F(AddedTokensTest, NoTokensNoCuts) { EXPECT_THAT(cut("abc"), ElementsAre(Cut{"abc", -1})); }

}  // namespace
}  // namespace pegainfer

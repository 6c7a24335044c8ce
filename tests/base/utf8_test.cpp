#include "base/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace pegainfer::utf8 {
namespace {

TEST(Utf8, KnowsValidText) {
  EXPECT_TRUE(valid(""));
  EXPECT_TRUE(valid("plain ASCII, longer than eight bytes"));
  EXPECT_TRUE(valid("\xC2\x80\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xF0\x90\x80\x80\xF4\x8F\xBF\xBF"));
}

TEST(Utf8, FindsTheFirstBrokenSequence) {
  EXPECT_EQ(find_invalid("abcdefghij\xFFxyz"), 10U);
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                          "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC2", "\xE2\x82", "\xF0\x9F\x98"}) {
    EXPECT_EQ(find_invalid(bad), 0U) << bad;
  }
}

TEST(Utf8, TellsBrokenFromUnfinished) {
  EXPECT_TRUE(next("\xF0\x9F\x98").incomplete);
  EXPECT_EQ(next("\xF0\x9F\x98").length, 3U);
  EXPECT_FALSE(next("\xF0\x9Fx").incomplete);
  EXPECT_EQ(next("\xF0\x9Fx").length, 2U);
  EXPECT_FALSE(next("\xC0").incomplete);
}

// The expected strings are Python's bytes.decode("utf-8", "replace").
TEST(Utf8, SanitizeReplacesMaximalParts) {
  EXPECT_EQ(sanitize("a\xF0\x9F\x98z"), "a\xEF\xBF\xBDz");
  EXPECT_EQ(sanitize("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(sanitize("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(sanitize("ok"), "ok");
}

}  // namespace
}  // namespace pegainfer::utf8

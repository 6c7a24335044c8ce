// The reader that the other tests trust must refuse what is wrong.
#include "metrics/exposition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace pegainfer::testing {
namespace {

const std::string kHistogram = R"(# HELP h help
# TYPE h histogram
h_count{a="b"} 3
h_sum{a="b"} 1.5
h_bucket{a="b",le="1"} 2
h_bucket{a="b",le="+Inf"} 3
)";

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(ExpositionTest, ReadsValuesAndLabels) {
  const auto page =
      parse_exposition(kHistogram + "# HELP c a \\\\ b\n# TYPE c counter\nc{x=\"1 \\\"\\\\\\n}\"} 7\n");
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->value("c", {{"x", "1 \"\\\n}"}}), 7);
  EXPECT_EQ(page->value("h_sum", {{"a", "b"}}), 1.5);
  EXPECT_TRUE(std::isnan(page->value("c", {{"x", "other"}})));
}

TEST(ExpositionTest, RefusesWhatIsWrong) {
  ASSERT_TRUE(parse_exposition(kHistogram));
  const std::string c = "# HELP c help\n# TYPE c counter\n";
  for (const std::string& bad : {
           replaced(kHistogram, "\"1\"} 2", "\"1\"} 4"),  // buckets fall
           replaced(kHistogram, "h_count{a=\"b\"} 3", "h_count{a=\"b\"} 2"),
           replaced(kHistogram, "+Inf", "2"),  // no +Inf
           replaced(kHistogram, "le=\"1\"", "le=\"x\""),
           replaced(kHistogram, ",le=\"1\"", ""),
           replaced(kHistogram, "# HELP h help\n", ""),
           replaced(kHistogram, "histogram", "histo"),
           replaced(kHistogram, "h_sum{a=\"b\"} 1.5\n", ""),
           c,                                   // no sample
           c + "c 1",                           // no end of line
           c + "c  1\n",                        // two spaces
           c + "c 1 \n",                        //
           c + "c -1\n",                        //
           c + "c nan\n",                       //
           c + "d 1\n",                         // not of this family
           c + "c 1\nc 2\n",                    // twice
           c + "c{a=\"1\",a=\"2\"} 1\n",        //
           c + "c{a=\"1} 1\n",                  //
           c + "c{a=\"\\t\"} 1\n",              //
           c + "c{1a=\"\"} 1\n",                //
           c + "c{a:b=\"\"} 1\n",               //
           c + "c 1\n" + c + "c{a=\"1\"} 1\n",  // in two pieces
           c + "c 1\n\n",                       //
       }) {
    EXPECT_FALSE(parse_exposition(bad)) << bad;
  }
}

}  // namespace
}  // namespace pegainfer::testing

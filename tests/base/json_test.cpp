#include "base/json.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "base/utf8.h"

namespace pegainfer::json {
namespace {

std::string type_of(std::string_view text) {
  auto r = parse(text);
  return r ? "ok" : r.error().type;
}

TEST(JsonParse, AcceptsWhatRfc8259Does) {
  for (const char* text : {"{}", "[]", "null", "42", "-0", "1.5e3", "\"\"", " \n{\"a\": [1, true, null]}\t",
                           "\"\\ud83d\\ude00\"", "\"a\\u0000b\"", "1e-400"}) {
    EXPECT_EQ(type_of(text), "ok") << text;
  }
}

TEST(JsonParse, RefusesWhatIsNotJson) {
  for (const char* text :
       {"", "{", "}", "[1,]", "{\"a\":1,}", "// c\n1", "{\"a\":1}{}", "01", "+1", "NaN", "Infinity", "nul",
        "\"\\ud800\"", "\"\\udc00x\"", "'a'", "\"\n\"", "\xEF\xBB\xBF{}", "[1 2]", "\"\\x\""}) {
    EXPECT_EQ(type_of(text), "invalid_json") << text;
  }
}

TEST(JsonParse, NamesThePlace) {
  const auto r = parse("{\n  \"a\": tru\n}");
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message.find("line 2"), std::string::npos) << r.error().message;
}

TEST(JsonParse, RefusesBrokenUtf8) {
  EXPECT_EQ(type_of("\"\xC3\x28\""), "invalid_utf8");
  EXPECT_EQ(type_of("\"\xED\xA0\x80\""), "invalid_utf8");
}

TEST(JsonParse, LimitsDepthWithoutRecursionTrouble) {
  const auto nested = [](size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_EQ(type_of(nested(64)), "ok");
  EXPECT_EQ(type_of(nested(65)), "json_too_deep");
  EXPECT_EQ(type_of(nested(100'000)), "json_too_deep");
}

TEST(JsonParse, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_EQ(type_of(R"({"a":1,"b":2,"a":3})"), "duplicate_key");
  const auto r = parse(R"([{"x":{"k":1,"k":2}}])");
  ASSERT_FALSE(r);
  EXPECT_NE(r.error().message.find("\"k\""), std::string::npos);
  EXPECT_EQ(type_of(R"([{"a":1},{"a":1},{"b":{"a":1}}])"), "ok");
  EXPECT_TRUE(parse(R"({"a":1,"a":3})", {.max_depth = 8, .reject_duplicate_keys = false}));
}

TEST(JsonParse, RefusesNumbersThatDoNotFit) {
  EXPECT_EQ(type_of("1e400"), "out_of_range");
  EXPECT_EQ(type_of("[-1e309]"), "out_of_range");
  EXPECT_EQ(type_of(std::string(1 << 20, '9')), "out_of_range");
}

TEST(JsonParse, DoublesAreExact) {
  for (const double v : {0.1, 1e-6, 1.0 / 3.0, 1000000.0, 5e-324, 1.7976931348623157e308}) {
    const auto r = parse(fmt::format("{}", v));
    ASSERT_TRUE(r);
    EXPECT_EQ(r->is_int64() ? static_cast<double>(r->get_int64()) : r->get_double(), v);
  }
}

TEST(JsonWrite, EscapesAndNeverEmitsBrokenUtf8) {
  EXPECT_EQ(quote("a\"b\\c\n\t\x01"), R"("a\"b\\c\n\t\u0001")");
  EXPECT_EQ(quote("\xE4\xBD\xA0"), "\"\xE4\xBD\xA0\"");
  EXPECT_EQ(quote("x\xF0\x9F\x98"), "\"x\xEF\xBF\xBD\"");
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      const std::string out = quote(text);
      ASSERT_TRUE(utf8::valid(out));
      const auto back = parse(out);
      ASSERT_TRUE(back) << out;
      ASSERT_EQ(std::string(back->get_string()), utf8::sanitize(text));
    }
  }
}

TEST(JsonWrite, DumpRoundTrips) {
  const std::string text = R"({"a":[1,-2,18446744073709551615,0.1,true,null,"x"],"b":{}})";
  EXPECT_EQ(dump(*parse(text)), text);
  EXPECT_EQ(dump(Value(std::numeric_limits<double>::infinity())), "null");
}

TEST(JsonGet, TypedAccessNamesTheKey) {
  const Value v = *parse(R"({"i":3,"f":2.5,"w":1e6,"s":"x","b":true,"n":null})");
  const Object& o = v.get_object();
  EXPECT_EQ(*get_int(o, "i"), 3);
  EXPECT_EQ(*get_int(o, "w"), 1'000'000);
  EXPECT_EQ(*get_int(o, "n", 7), 7);
  EXPECT_EQ(*get_number(o, "i"), 3.0);
  EXPECT_EQ(*get_bool(o, "absent", true), true);
  EXPECT_EQ(*get_string(o, "s"), "x");
  for (const auto& e : {get_int(o, "f").error(), get_int(o, "s").error(), get_int(o, "absent").error()}) {
    EXPECT_EQ(e.code, Code::kInvalidArgument);
    EXPECT_NE(e.message.find("expected an integer"), std::string::npos) << e.message;
  }
  EXPECT_EQ(get_string(o, "i").error().param, "i");
}

}  // namespace
}  // namespace pegainfer::json

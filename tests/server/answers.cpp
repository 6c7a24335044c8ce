#include "server/answers.h"

#include <gtest/gtest.h>

#include <utility>

namespace pegainfer::testing {
namespace {

void replace_after(std::string& text, std::string_view before, size_t count, std::string_view with) {
  for (size_t at = 0; (at = text.find(before, at)) != std::string::npos; at += before.size())
    text.replace(at + before.size(), count, with);
}

}  // namespace

json::Value parse(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value) << text;
  return value ? *std::move(value) : json::Value{};
}

std::string text_of(const json::Value& value) { return std::string(value.as_string()); }

std::string without_identity(std::string text) {
  replace_after(text, R"("id":"cmpl-)", 32, "ID");
  replace_after(text, R"("id":"chatcmpl-)", 32, "ID");
  replace_after(text, R"("id":"call_)", 24, "ID");
  for (size_t at = 0; (at = text.find("\"created\":", at)) != std::string::npos; ++at) {
    at += 10;
    text.replace(at, text.find(',', at) - at, "0");
  }
  return text;
}

std::vector<std::string> events(const std::string& body) {
  std::vector<std::string> found;
  size_t at = 0;
  while (at < body.size()) {
    const size_t end = body.find("\n\n", at);
    EXPECT_NE(end, std::string::npos);
    EXPECT_EQ(body.substr(at, 6), "data: ");
    found.push_back(body.substr(at + 6, end - at - 6));
    EXPECT_EQ(found.back().find('\n'), std::string::npos);
    at = end + 2;
  }
  return found;
}

}  // namespace pegainfer::testing

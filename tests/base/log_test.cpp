// Log lines: nothing in a message forges one or drives a terminal, and JSON lines are JSON.
#include "base/log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "base/json.h"
#include "base/log_event.h"

namespace pegainfer {
namespace {

TEST(LogText, WhatForgesLinesOrDrivesTerminalsIsEscaped) {
  EXPECT_EQ(escape_log_text("plain text, na\u00efve \u4f60\u597d \U0001F600"),
            "plain text, na\u00efve \u4f60\u597d \U0001F600");
  EXPECT_EQ(escape_log_text(std::string("a\r\nb\tc\0d\x1b[2J\x7f", 13)),
            "a\\x0d\\x0ab\\x09c\\x00d\\x1b[2J\\x7f");
  EXPECT_EQ(escape_log_text("\u0085\u009b"), "\\xc2\\x85\\xc2\\x9b");  // C1: a line end, ESC [ in one
  EXPECT_EQ(escape_log_text("a\u2028b\u202ec\u2066"), "a\\xe2\\x80\\xa8b\\xe2\\x80\\xaec\\xe2\\x81\\xa6");
  EXPECT_EQ(escape_log_text("\xff\xc3("), "\\xff\\xc3(");
  EXPECT_EQ(escape_log_text("\u00a0\u2030"), "\u00a0\u2030");
}

std::string logged(const auto& write) {
  testing::internal::CaptureStderr();
  write();
  return testing::internal::GetCapturedStderr();
}

TEST(LogFormat, AJsonLineIsOneObject) {
  set_log_format(LogFormat::kJson);
  const std::string line = logged([] {
    log_event(LogLevel::kWarn, "a \"quote\"\nand\xff",
              {{"request_id", "r\n1"}, {"status", int64_t{200}}, {"ms", 1.5}, {"nan", std::nan("")}});
  });
  const std::string plain = logged([] { LOG_INFO("{} tensors", 3); });
  set_log_format(LogFormat::kText);
  ASSERT_EQ(line.find('\n'), line.size() - 1);
  const auto value = json::parse(line.substr(0, line.size() - 1));
  ASSERT_TRUE(value) << line;
  const json::Object& object = value->as_object();
  EXPECT_EQ(object.at("level").as_string(), "warn");
  EXPECT_EQ(object.at("msg").as_string(), "a \"quote\"\\x0aand\\xff");
  EXPECT_EQ(object.at("request_id").as_string(), "r\\x0a1");
  EXPECT_EQ(object.at("status").as_int64(), 200);
  EXPECT_EQ(object.at("ms").as_double(), 1.5);
  EXPECT_TRUE(object.at("nan").is_null());
  EXPECT_EQ(object.at("ts").as_string().size(), std::string("2026-11-26T05:03:21.123Z").size());
  const auto other = json::parse(plain.substr(0, plain.size() - 1));
  ASSERT_TRUE(other) << plain;
  EXPECT_EQ(other->as_object().at("msg").as_string(), "3 tensors");
  EXPECT_NE(logged([] {
              log_event(LogLevel::kInfo, "text", {{"request_id", "r1"}});
            }).find("info  text\n"),
            std::string::npos);
}

}  // namespace
}  // namespace pegainfer

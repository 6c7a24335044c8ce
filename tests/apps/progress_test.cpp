#include "apps/progress.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <string>

namespace pegainfer::apps {
namespace {

std::string drawn(bool terminal, const std::function<void(ProgressBar&)>& work) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::tmpfile(), std::fclose);
  ProgressBar bar(file.get(), terminal);
  work(bar);
  std::rewind(file.get());
  std::string text(10'000, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  return text;
}

TEST(Progress, Bytes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(98362432), "93.8 MiB");
  EXPECT_EQ(format_bytes(1.5 * 0x1p30), "1.5 GiB");
}

TEST(Progress, LineHasBytesRateAndTimeLeft) {
  EXPECT_EQ(format_progress(1U << 30U, 4LL << 30U, 2, 8),
            "loading [==>     ]  25%  1.0 GiB of 4.0 GiB  512.0 MiB/s  6 s left");
  EXPECT_EQ(format_progress(4LL << 30U, 4LL << 30U, 2, 8),
            "loading [========] 100%  4.0 GiB of 4.0 GiB  2.0 GiB/s");
  EXPECT_EQ(format_progress(50, 100, 0, 0), "loading  50%  50 B of 100 B");
  EXPECT_EQ(format_progress(0, 100, 0, 4), "loading [>   ]   0%  0 B of 100 B");
  EXPECT_EQ(format_progress(0, 0, 0, 4), "loading [>   ]   0%  0 B of 0 B");
}

TEST(Progress, OtherThingsThanBytes) {
  EXPECT_EQ(format_progress(16, 64, 2, 8, {.label = "serving", .unit = "requests"}),
            "serving [==>     ]  25%  16 of 64 requests  8.0/s  6 s left");
}

TEST(Progress, PlainLinesAreFew) {
  const std::string text = drawn(false, [](ProgressBar& bar) {
    for (uint64_t i = 0; i <= 1000; ++i) bar.update(i, 1000, static_cast<double>(i) / 100);
    bar.finish();
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);  // 10, 25, 50, 75 and 100 %
  EXPECT_EQ(text.find('\r'), std::string::npos);
  EXPECT_EQ(text.find('['), std::string::npos);
}

TEST(Progress, QuickLoadsHaveOnePlainLine) {
  const std::string text = drawn(false, [](ProgressBar& bar) {
    for (uint64_t i = 0; i <= 1000; ++i) bar.update(i, 1000, static_cast<double>(i) / 10'000);
    bar.update(1000, 1000, 0.1);
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

// A log line may follow before finish() is called: it must not stand behind the bar.
TEST(Progress, TerminalLineIsClearedWhenAllIsDone) {
  const std::string text = drawn(true, [](ProgressBar& bar) {
    bar.update(5, 10, 1);
    bar.update(10, 10, 1.01);
    bar.update(10, 10, 1.02);
  });
  EXPECT_TRUE(text.ends_with("\r\x1b[2K"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 2);
}

TEST(Progress, TerminalLineIsRedrawnAndCleared) {
  const std::string text = drawn(true, [](ProgressBar& bar) {
    bar.update(0, 0, 0);  // nothing is known yet
    bar.update(1, 10, 0.5);
    bar.update(2, 10, 0.55);  // too soon
    bar.update(5, 10, 1);
    bar.finish();
    bar.finish();
  });
  EXPECT_EQ(std::count(text.begin(), text.end(), '\r'), 3);
  EXPECT_TRUE(text.ends_with("\r\x1b[2K"));
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace pegainfer::apps

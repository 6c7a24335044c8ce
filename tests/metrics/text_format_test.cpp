#include "metrics/text_format.h"

#include <gtest/gtest.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <cmath>
#include <limits>
#include <random>
#include <sstream>

#include "metrics/exposition.h"

namespace pegainfer::metrics {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::string library_text(const std::vector<MetricFamily>& families) {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return out.str();
}

std::vector<MetricFamily> some_families(double value) {
  std::vector<MetricFamily> out;
  for (const MetricType type : {MetricType::Counter, MetricType::Gauge, MetricType::Histogram}) {
    MetricFamily& family = out.emplace_back();
    family.name = "vllm:x" + std::to_string(out.size());
    family.help = "help";
    family.type = type;
    for (int i = 0; i < 3; ++i) {
      ClientMetric& metric = family.metric.emplace_back();
      for (int j = 0; j < i; ++j)
        metric.label.push_back({"k" + std::to_string(j), "v \" \\ \n }" + std::to_string(j)});
      metric.counter.value = metric.gauge.value = metric.histogram.sample_sum = value;
      metric.histogram.sample_count = 12345678901234567ULL;
      metric.histogram.bucket = {{3, value}, {12345678901234567ULL, std::numeric_limits<double>::infinity()}};
    }
  }
  return out;
}

TEST(TextFormatTest, HasTheBytesOfTheLibrarysWriter) {
  std::mt19937_64 random(1);
  std::vector<double> values = {0,
                                1,
                                -1,
                                0.1,
                                0.3,
                                1e-9,
                                1e15,
                                1e16,
                                1e17,
                                1.0 / 3,
                                1764000000.123456,
                                2560,
                                1e300,
                                5e-324,
                                std::numeric_limits<double>::infinity(),
                                -std::numeric_limits<double>::infinity(),
                                std::numeric_limits<double>::quiet_NaN()};
  std::uniform_real_distribution<double> exponent(-30, 30);
  for (int i = 0; i < 1000; ++i) values.push_back(std::pow(10.0, exponent(random)));
  for (const double value : values) {
    const auto families = some_families(value);
    ASSERT_EQ(to_text(families), library_text(families)) << value;
  }
}

TEST(TextFormatTest, IsReadBack) {
  const auto page = pegainfer::testing::parse_exposition(to_text(some_families(0.25)));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(page->value("vllm:x1", {{"k0", "v \" \\ \n }0"}}), 0.25);
  EXPECT_EQ(page->value("vllm:x3_bucket", {{"le", "0.25"}}), 3);
}

// Help texts are ours alone, so the library's missing escapes do not matter; a scraper wants them.
TEST(TextFormatTest, EscapesHelp) {
  MetricFamily family;
  family.name = "g";
  family.help = "a \\ b \n c \" d";
  family.type = MetricType::Gauge;
  family.metric.emplace_back();
  EXPECT_EQ(to_text({family}), "# HELP g a \\\\ b \\n c \" d\n# TYPE g gauge\ng 0\n");
}

}  // namespace
}  // namespace pegainfer::metrics

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <thread>
#include <vector>

#include "metrics/exposition.h"
#include "metrics/http_metrics.h"
#include "metrics/process_metrics.h"

namespace pegainfer::metrics {
namespace {

using pegainfer::testing::Exposition;
using pegainfer::testing::parse_exposition;

Exposition page_of(const MetricsSource& source) {
  MetricsPage page;
  source.collect(page);
  auto parsed = parse_exposition(page.text());
  if (!parsed) ADD_FAILURE() << parsed.error().message;
  return std::move(parsed).value_or({});
}

TEST(HttpMetricsTest, CountsByHandlerMethodAndStatusClass) {
  HttpMetrics metrics;
  metrics.observe("POST", "/v1/completions", 200, 0.2);
  metrics.observe("POST", "/v1/completions", 429, 0.001);
  metrics.observe("GET", "/health", 200, 0.001);
  metrics.observe("GET", "none", 404, 0.001);
  metrics.observe("POST", "/v1/completions", 0, 3);
  const Exposition p = page_of(metrics);
  const auto total = [&](const char* method, const char* handler, const char* status) {
    return p.value("http_requests_total", {{"method", method}, {"handler", handler}, {"status", status}});
  };
  EXPECT_EQ(total("POST", "/v1/completions", "2xx"), 1);
  EXPECT_EQ(total("POST", "/v1/completions", "4xx"), 2);
  EXPECT_EQ(total("GET", "/health", "2xx"), 1);
  EXPECT_EQ(total("GET", "none", "4xx"), 1);
  EXPECT_NEAR(
      p.value("http_request_duration_seconds_sum", {{"method", "POST"}, {"handler", "/v1/completions"}}),
      3.201, 1e-9);
}

TEST(HttpMetricsTest, ManyThreads) {
  HttpMetrics metrics;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int k = 0; k < 1000; ++k) metrics.observe("GET", "/livez", 200, 0.01);
      });
    (void)page_of(metrics);
  }
  const std::map<std::string, std::string> labels = {{"method", "GET"}, {"handler", "/livez"}};
  EXPECT_EQ(page_of(metrics).value("http_request_duration_seconds_count", labels), 4000);
}

TEST(ProcessMetricsTest, AgreesWithTheSystem) {
  const ProcessMetrics metrics;
  const Exposition before = page_of(metrics);
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_GT(before.value("process_start_time_seconds"), now - 3600);
  EXPECT_LT(before.value("process_start_time_seconds"), now + 2);
  EXPECT_GT(before.value("process_resident_memory_bytes"), 1 << 20);
  EXPECT_GE(before.value("process_virtual_memory_bytes"), before.value("process_resident_memory_bytes"));
  EXPECT_GE(before.value("process_max_fds"), before.value("process_open_fds"));

  std::vector<int> fds;
  fds.reserve(5);
  for (int i = 0; i < 5; ++i) fds.push_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  std::vector<char> memory(64U << 20U, 1);
  const auto begin = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(300)) {
    for (char& c : memory) ++c;
  }
  const Exposition after = page_of(metrics);
  EXPECT_EQ(after.value("process_open_fds"), before.value("process_open_fds") + 5);
  EXPECT_GT(after.value("process_resident_memory_bytes"),
            before.value("process_resident_memory_bytes") + (32 << 20));
  EXPECT_GE(after.value("process_cpu_seconds_total"), before.value("process_cpu_seconds_total") + 0.05);
  for (const int fd : fds) close(fd);
}

TEST(RenderTest, PutsSourcesOnOnePage) {
  auto http = std::make_shared<HttpMetrics>();
  http->observe("GET", "/livez", 200, 0.01);
  const auto page = parse_exposition(render({http, std::make_shared<ProcessMetrics>()}));
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_TRUE(page->families.contains("http_requests_total"));
  EXPECT_TRUE(page->families.contains("process_open_fds"));
}

}  // namespace
}  // namespace pegainfer::metrics

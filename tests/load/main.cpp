// stream_load: holds a server over SimEngine under streams that end well and badly, and checks that nothing
// of it is left behind. Exits 1 with what is wrong.
//
//   stream_load --streams 512 --seconds 30                          (in `make test`)
//   stream_load --streams 4096 --seconds 300 --idle                 idle streams: memory a stream, /livez
//   stream_load --streams 512 --seconds 900 --requests 200000       churn: memory and descriptors stay flat
#include <fmt/core.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include "load/server_process.h"
#include "load/stream_client.h"

namespace pegainfer::load {
namespace {

struct Sample {
  double seconds = 0;
  uint64_t finished = 0;
  size_t rss = 0;
  size_t descriptors = 0;
};

double mib(size_t bytes) { return static_cast<double>(bytes) / 1048576.0; }

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

int fail(const std::string& what) {
  fmt::print(stderr, "stream_load: {}\n", what);
  return 1;
}

void print(const ClientReport& r, const std::vector<Sample>& samples, size_t rss_ready, int streams) {
  size_t peak = 0;
  for (const Sample& s : samples) peak = std::max(peak, s.rss);
  fmt::print(
      "{:.1f} s: {} streams; {} read to the end, {} left, {} reset, {} stalled ({} of them cut), {} "
      "refused\n",
      r.seconds, r.started, r.completed, r.cancelled, r.reset, r.stalled, r.stalled_cut, r.refused);
  fmt::print("{:.0f} requests/s, {:.0f} events/s read to the end; /livez p50 {:.1f} ms, p99 {:.1f} ms\n",
             static_cast<double>(r.started) / r.seconds, static_cast<double>(r.events) / r.seconds,
             1e3 * quantile(r.livez_seconds, 0.5), 1e3 * quantile(r.livez_seconds, 0.99));
  fmt::print("server RSS: {:.1f} MiB ready, {:.1f} MiB at most ({:.1f} KiB a stream)\n", mib(rss_ready),
             mib(peak), static_cast<double>(peak - std::min(peak, rss_ready)) / 1024.0 / streams);
}

// The last quarter of a run against the second one: the first is for caches to fill.
std::string check_growth(const std::vector<Sample>& samples) {
  if (samples.size() < 40) return "";
  const auto most = [&](size_t from, size_t to) {
    size_t rss = 0;
    for (size_t i = from; i < to; ++i) rss = std::max(rss, samples[i].rss);
    return rss;
  };
  const size_t n = samples.size();
  const size_t early = most(n / 4, n / 2);
  const size_t late = most(3 * n / 4, n);
  fmt::print("server RSS, second quarter {:.1f} MiB, last quarter {:.1f} MiB\n", mib(early), mib(late));
  constexpr double kGrowth = 1.10;
  if (static_cast<double>(late) > kGrowth * static_cast<double>(early)) return "the server's memory grows";
  return "";
}

int run(ServerOptions server_options, ClientOptions client_options) {
  ServerProcess server(server_options);
  client_options.port = server.port();
  std::string not_ready = canary(server.port());  // the port is open before the engine is there
  for (int i = 0; i < 100 && !not_ready.empty(); ++i) {
    usleep(100'000);
    not_ready = canary(server.port());
  }
  if (!not_ready.empty()) return fail("before the load: " + not_ready);
  const size_t rss_ready = server.rss_bytes();
  const size_t descriptors = server.num_descriptors();
  std::vector<Sample> samples;
  client_options.on_second = [&](double seconds, uint64_t finished) {
    samples.push_back({seconds, finished, server.rss_bytes(), server.num_descriptors()});
  };
  const ClientReport report = run_clients(client_options);
  print(report, samples, rss_ready, client_options.streams);
  for (const std::string& what : report.wrong) fmt::print(stderr, "wrong: {}\n", what);
  if (report.num_wrong > 0) return fail(fmt::format("{} things were wrong", report.num_wrong));
  if (report.completed == 0) return fail("no stream was read to its end");
  if (report.stalled > 0 && report.stalled_cut == 0) return fail("nobody who stopped reading was cut");
  if (const std::string wrong = check_growth(samples); !wrong.empty()) return fail(wrong);
  if (const std::string wrong = canary(server.port()); !wrong.empty())
    return fail("after the load: " + wrong);
  // Connections that were cut linger for two seconds at most.
  for (int i = 0; i < 40 && server.num_descriptors() > descriptors; ++i) usleep(100'000);
  if (server.num_descriptors() > descriptors)
    return fail(fmt::format("{} descriptors, {} before", server.num_descriptors(), descriptors));
  if (const int code = server.stop(); code != 0) return fail(fmt::format("the server ended with {}", code));
  fmt::print("clean: every place, block and descriptor was given back\n");
  return 0;
}

}  // namespace
}  // namespace pegainfer::load

int main(int argc, char** argv) {
  pegainfer::load::ServerOptions server;
  server.step_seconds = 0.005;
  server.max_num_seqs = 256;
  server.write_stall_seconds = 2;
  pegainfer::load::ClientOptions client;
  bool idle = false;
  CLI::App app("Streams that end well and badly");
  app.add_option("--streams", client.streams);
  app.add_option("--seconds", client.seconds);
  app.add_option("--requests", client.requests);
  app.add_option("--max-tokens", client.max_tokens);
  app.add_option("--seed", client.seed);
  app.add_option("--step-seconds", server.step_seconds);
  app.add_option("--max-num-seqs", server.max_num_seqs);
  app.add_flag("--idle", idle, "All streams run at once, at two tokens a second, and are read to their end");
  CLI11_PARSE(app, argc, argv);
  if (idle) {
    server.step_seconds = 0.5;
    server.max_num_seqs = client.streams;
    server.num_kv_blocks = client.streams * 64;
    server.write_stall_seconds = 30;
    client.cancel = client.reset = client.stall = 0;
    client.min_tokens = client.max_tokens = std::max(8, static_cast<int>(2 * client.seconds));
  }
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
  }
  std::signal(SIGPIPE, SIG_IGN);
  return pegainfer::load::run(server, client);
}

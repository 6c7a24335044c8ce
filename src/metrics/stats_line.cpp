#include "metrics/stats_line.h"

#include <fmt/core.h>

#include <condition_variable>
#include <mutex>
#include <utility>

#include "base/log.h"

namespace pegainfer::metrics {
namespace {

double percent(double part, double whole) { return whole > 0 ? 100.0 * part / whole : 0.0; }

void log_until_stopped(const std::stop_token& stop, const std::weak_ptr<const Engine>& watched,
                       const StatsLogger::Options& options) {
  std::optional<StatsLine> line;
  if (const auto engine = watched.lock())
    line.emplace(options.device, engine->stats(), std::chrono::steady_clock::now());
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  while (line && !changed.wait_for(lock, stop, options.interval, [&] { return stop.stop_requested(); })) {
    const auto engine = watched.lock();
    if (engine == nullptr) return;
    const auto text = line->next(engine->stats(), std::chrono::steady_clock::now());
    if (!text) continue;
    if (options.write) {
      options.write(*text);
    } else {
      LOG_INFO("{}", *text);
    }
  }
}

}  // namespace

std::optional<std::string> StatsLine::next(const EngineStats& stats, TimePoint now) {
  const double seconds = std::chrono::duration<double>(now - std::exchange(last_time_, now)).count();
  const EngineStats before = std::exchange(last_, stats);
  const auto grown = [](uint64_t was, uint64_t is) { return static_cast<double>(is - was); };
  const bool busy = stats.num_running > 0 || stats.num_waiting > 0 || stats.num_steps != before.num_steps;
  if (!busy && std::exchange(quiet_, true)) return std::nullopt;
  if (busy) quiet_ = false;

  const auto rate = [&](uint64_t was, uint64_t is) { return seconds > 0 ? grown(was, is) / seconds : 0.0; };
  // Over this interval; without queries in it, over all of the time.
  double queries = grown(before.prefix_cache_queries_total, stats.prefix_cache_queries_total);
  double hits = grown(before.prefix_cache_hits_total, stats.prefix_cache_hits_total);
  if (queries == 0) {
    queries = static_cast<double>(stats.prefix_cache_queries_total);
    hits = static_cast<double>(stats.prefix_cache_hits_total);
  }
  return fmt::format(
      "Engine 000: Avg prompt throughput: {:.1f} tokens/s, Avg generation throughput: {:.1f} tokens/s, "
      "Running: {} reqs, Waiting: {} reqs, {}KV cache usage: {:.1f}%, Prefix cache hit rate: {:.1f}%",
      rate(before.prompt_tokens_total, stats.prompt_tokens_total),
      rate(before.generation_tokens_total, stats.generation_tokens_total), stats.num_running,
      stats.num_waiting, device_,
      percent(stats.num_total_blocks - stats.num_free_blocks, stats.num_total_blocks),
      percent(hits, queries));
}

StatsLogger::StatsLogger(std::weak_ptr<const Engine> engine, Options options)
    : thread_([engine = std::move(engine), options = std::move(options)](const std::stop_token& stop) {
        log_until_stopped(stop, engine, options);
      }) {}

}  // namespace pegainfer::metrics

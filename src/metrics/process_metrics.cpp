#include "metrics/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace pegainfer::metrics {
namespace {

// A file of /proc, whole: they say nothing of their size, and ours are small.
std::string read_proc(const char* path) {
  std::string out;
  std::FILE* file = std::fopen(path, "re");
  if (file == nullptr) return out;
  std::array<char, 4096> buffer{};
  while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), file)) out.append(buffer.data(), n);
  (void)std::fclose(file);
  return out;
}

std::optional<double> to_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return static_cast<double>(value);
}

// The word number `index`, from 0.
std::string_view word(std::string_view text, int index) {
  for (;; --index) {
    const size_t begin = text.find_first_not_of(" \n");
    if (begin == std::string_view::npos) return {};
    text.remove_prefix(begin);
    const size_t end = std::min(text.find_first_of(" \n"), text.size());
    if (index == 0) return text.substr(0, end);
    text.remove_prefix(end);
  }
}

// Seconds since 1970 when the machine was started.
std::optional<double> boot_time() {
  const std::string stat = read_proc("/proc/stat");
  const size_t line = stat.find("\nbtime ");
  if (line == std::string::npos) return std::nullopt;
  return to_number(word(std::string_view(stat).substr(line), 1));
}

std::optional<double> num_open_fds() {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return std::nullopt;
  double count = 0;
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.' ? 1 : 0;
  closedir(folder);
  return count - 1;  // the one that listed them
}

void gauge(MetricsPage& page, std::string_view name, std::string_view help, std::optional<double> value) {
  if (value) page.gauge(name, help, {}, *value);
}

}  // namespace

void BuildInfo::collect(MetricsPage& page) const {
  page.gauge("pegainfer:build_info", "The version of this server.", {{"version", version_}}, 1);
}

// /proc/self/stat, words counted from the state, after the name (proc(5)): 11 utime, 12 stime, 19 starttime,
// 20 vsize, 21 rss.
void ProcessMetrics::collect(MetricsPage& page) const {
  const std::string stat = read_proc("/proc/self/stat");
  const size_t name_end = stat.rfind(')');
  if (name_end != std::string::npos) {
    const std::string_view rest = std::string_view(stat).substr(name_end + 1);
    const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
    const auto page_size = static_cast<double>(sysconf(_SC_PAGESIZE));
    const auto user = to_number(word(rest, 11));
    const auto system = to_number(word(rest, 12));
    const auto start = to_number(word(rest, 19));
    const auto resident = to_number(word(rest, 21));
    gauge(page, "process_virtual_memory_bytes", "Virtual memory size in bytes.", to_number(word(rest, 20)));
    if (resident) {
      page.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", {},
                 *resident * page_size);
    }
    if (const auto boot = boot_time(); boot && start) {
      page.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", {},
                 *boot + *start / ticks);
    }
    if (user && system) {
      page.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", {},
                   (*user + *system) / ticks);
    }
  }
  gauge(page, "process_open_fds", "Number of open file descriptors.", num_open_fds());
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    page.gauge("process_max_fds", "Maximum number of open file descriptors.", {},
               static_cast<double>(limit.rlim_cur));
  }
}

}  // namespace pegainfer::metrics

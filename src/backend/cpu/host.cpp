#include "backend/cpu/host.h"

#include <fmt/core.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

namespace pegainfer {
namespace {

constexpr uint64_t kNoLimit = std::numeric_limits<uint64_t>::max();

// Files of /proc and /sys have no size, so they are read as streams; a missing one is empty.
std::string read_all(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::optional<uint64_t> to_number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end == text.data()) return std::nullopt;
  return value;
}

// The value of `key` in lines of "key value" or "key: value kB".
std::optional<uint64_t> find_value(const std::string& text, std::string_view key) {
  const std::string lines = "\n" + text;
  const size_t at = lines.find("\n" + std::string(key));
  if (at == std::string::npos) return std::nullopt;
  return to_number(std::string_view(lines).substr(at + 1 + key.size()));
}

// The process's own group and its ancestors in the hierarchy of `controller` ("" for v2), innermost first, as
// folders.
std::vector<std::string> cgroup_folders(const std::string& root, std::string_view controller) {
  const std::string mount =
      root + "/sys/fs/cgroup" + (controller.empty() ? "" : "/" + std::string(controller));
  const std::string groups = read_all(root + "/proc/self/cgroup");
  std::string path;
  for (size_t begin = 0; begin < groups.size();) {  // lines "id:controller,controller:path"
    const size_t end = std::min(groups.find('\n', begin), groups.size());
    const std::string line = groups.substr(begin, end - begin);
    begin = end + 1;
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string names = "," + line.substr(first + 1, second - first - 1) + ",";
    if (names.find("," + std::string(controller) + ",") != std::string::npos) path = line.substr(second + 1);
  }
  std::vector<std::string> folders;
  while (!path.empty() && path != "/") {
    folders.push_back(mount + path);
    path.resize(path.rfind('/'));
  }
  folders.push_back(mount);  // inside a container with its own namespace this is the group itself
  return folders;
}

double cpu_quota(const std::string& root) {
  double quota = std::numeric_limits<double>::infinity();
  for (const std::string& folder : cgroup_folders(root, "")) {
    const std::string max = read_all(folder + "/cpu.max");  // "max 100000" or "150000 100000"
    const auto time = to_number(max);
    const auto period = to_number(std::string_view(max).substr(std::min(max.find(' '), max.size())));
    if (time && period && *period > 0)
      quota = std::min(quota, static_cast<double>(*time) / static_cast<double>(*period));
  }
  for (const std::string& folder : cgroup_folders(root, "cpu")) {
    const auto time = to_number(read_all(folder + "/cpu.cfs_quota_us"));  // -1: none
    const auto period = to_number(read_all(folder + "/cpu.cfs_period_us"));
    if (time && period && *period > 0)
      quota = std::min(quota, static_cast<double>(*time) / static_cast<double>(*period));
  }
  return quota;
}

struct GroupMemory {
  uint64_t limit = kNoLimit;
  uint64_t left = kNoLimit;
};

// The tightest limit, and the least that a group has left; page cache counts as free, since it can be
// dropped.
GroupMemory group_memory(const std::string& root) {
  GroupMemory memory;
  const auto apply = [&](const std::string& folder, const char* limit_file, const char* usage_file,
                         const char* cache_key) {
    const auto limit = to_number(read_all(folder + limit_file));
    if (!limit) return;
    const uint64_t usage = to_number(read_all(folder + usage_file)).value_or(0);
    const uint64_t cache = find_value(read_all(folder + "/memory.stat"), cache_key).value_or(0);
    const uint64_t held = usage - std::min(usage, cache);
    memory.limit = std::min(memory.limit, *limit);
    memory.left = std::min(memory.left, *limit - std::min(*limit, held));
  };
  for (const std::string& folder : cgroup_folders(root, "")) {
    apply(folder, "/memory.max", "/memory.current", "inactive_file ");
  }
  for (const std::string& folder : cgroup_folders(root, "memory")) {
    apply(folder, "/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file ");
  }
  return memory;
}

}  // namespace

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) {
    for (int i = 0; i < CPU_SETSIZE; ++i) {
      if (CPU_ISSET(static_cast<size_t>(i), &set)) cpus.push_back(i);
    }
  } else {  // more CPUs than the set holds
    const unsigned count = std::max(1U, std::thread::hardware_concurrency());
    for (unsigned i = 0; i < count; ++i) cpus.push_back(static_cast<int>(i));
  }
  return cpus;
}

int usable_cores(const std::vector<int>& cpus, const std::string& root) {
  std::set<std::pair<std::string, std::string>> cores;
  for (const int cpu : cpus) {
    const std::string topology = fmt::format("{}/sys/devices/system/cpu/cpu{}/topology/", root, cpu);
    const std::string core = read_all(topology + "core_id");
    cores.emplace(read_all(topology + "physical_package_id"), core.empty() ? std::to_string(cpu) : core);
  }
  const double most = std::ceil(std::min(cpu_quota(root), static_cast<double>(cores.size())));
  return std::max(1, static_cast<int>(most));
}

DeviceMemory host_memory(const std::string& root) {
  const std::string info = read_all(root + "/proc/meminfo");
  const uint64_t total = find_value(info, "MemTotal:").value_or(0) * 1024;
  const uint64_t available = find_value(info, "MemAvailable:").value_or(0) * 1024;
  const GroupMemory group = group_memory(root);
  return {.total_bytes = std::min(total, group.limit), .available_bytes = std::min(available, group.left)};
}

}  // namespace pegainfer

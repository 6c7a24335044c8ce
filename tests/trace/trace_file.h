// Reads a trace back as Perfetto would and checks what makes one good: slices of a track nest, every track
// has a name, times lie within the trace.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pegainfer::testing {

struct TraceEvent {
  std::string phase;  // "X", "i", "C"
  int64_t pid = 0;
  int64_t tid = 0;
  std::string name;
  double ts = 0;  // microseconds
  double dur = 0;
  std::map<std::string, double> args;
  std::map<std::string, std::string> texts;  // args that are strings
  [[nodiscard]] double end() const { return ts + dur; }
};

constexpr int64_t kEnginePid = 1;
constexpr int64_t kRequestsPid = 2;

struct TraceFile {
  std::vector<TraceEvent> events;  // without metadata
  std::map<int64_t, std::string> processes;
  std::map<std::pair<int64_t, int64_t>, std::string> threads;
  std::map<std::string, double> other;
  std::map<std::string, std::string> other_texts;

  // In order of time; parents before what they hold.
  [[nodiscard]] std::vector<TraceEvent> track(int64_t pid, int64_t tid) const;
  [[nodiscard]] std::vector<std::string> names(int64_t pid, int64_t tid) const;
};

// Fails the running test where the file is not as it should be.
TraceFile read_trace(std::string_view json);

}  // namespace pegainfer::testing

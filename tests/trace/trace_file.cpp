#include "trace/trace_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/json.h"

namespace pegainfer::testing {
namespace {

// Values of less than a nanosecond are lost in the text.
constexpr double kEpsilon = 0.0015;

void read_args(const json::Object& object, TraceEvent& event) {
  const json::Value* args = json::find(object, "args");
  if (args == nullptr) return;
  for (const auto& [key, value] : args->as_object()) {
    if (value.is_string()) {
      event.texts[std::string(key)] = std::string(value.as_string());
    } else if (value.is_bool()) {
      event.args[std::string(key)] = value.as_bool() ? 1 : 0;
    } else {
      event.args[std::string(key)] = value.to_number<double>();
    }
  }
}

TraceEvent read_event(const json::Object& object) {
  TraceEvent event;
  event.phase = json::get_string(object, "ph").value_or("");
  event.name = json::get_string(object, "name").value_or("");
  event.pid = json::get_int(object, "pid").value_or(-1);
  event.tid = json::get_int(object, "tid", 0).value_or(-1);
  EXPECT_FALSE(event.name.empty());
  if (event.phase != "M") event.ts = json::get_number(object, "ts").value_or(-1);
  if (event.phase == "X") event.dur = json::get_number(object, "dur").value_or(-1);
  EXPECT_GE(event.ts, 0) << event.name;
  EXPECT_GE(event.dur, 0) << event.name;
  read_args(object, event);
  return event;
}

void check_nesting(const TraceFile& file, int64_t pid, int64_t tid) {
  std::vector<double> open;
  for (const TraceEvent& event : file.track(pid, tid)) {
    while (!open.empty() && open.back() <= event.ts + kEpsilon) open.pop_back();
    if (open.empty()) {
      if (event.dur > 0) open.push_back(event.end());
      continue;
    }
    EXPECT_LE(event.end(), open.back() + kEpsilon)
        << event.name << " at " << event.ts << " on " << pid << "/" << tid << " outlasts what holds it";
    open.push_back(event.end());
  }
}

}  // namespace

std::vector<TraceEvent> TraceFile::track(int64_t pid, int64_t tid) const {
  std::vector<TraceEvent> out;
  for (const TraceEvent& event : events)
    if (event.pid == pid && event.tid == tid && event.phase != "C") out.push_back(event);
  std::stable_sort(out.begin(), out.end(), [](const TraceEvent& a, const TraceEvent& b) {
    return a.ts != b.ts ? a.ts < b.ts : a.dur > b.dur && a.phase == "X" && b.phase == "X";
  });
  return out;
}

std::vector<std::string> TraceFile::names(int64_t pid, int64_t tid) const {
  std::vector<std::string> out;
  for (const TraceEvent& event : track(pid, tid)) out.push_back(event.name);
  return out;
}

TraceFile read_trace(std::string_view text) {
  TraceFile file;
  const auto parsed = json::parse(text);
  if (!parsed) {
    ADD_FAILURE() << parsed.error().message;
    return file;
  }
  const json::Object& root = parsed->as_object();
  for (const json::Value& value : json::find(root, "traceEvents")->as_array()) {
    TraceEvent event = read_event(value.as_object());
    if (event.phase == "M") {
      if (event.name == "process_name") file.processes[event.pid] = event.texts["name"];
      if (event.name == "thread_name") {
        EXPECT_TRUE(file.threads.emplace(std::pair(event.pid, event.tid), event.texts["name"]).second);
      }
      continue;
    }
    EXPECT_TRUE(event.phase == "X" || event.phase == "i" || event.phase == "C") << event.phase;
    file.events.push_back(std::move(event));
  }
  TraceEvent other;
  other.name = "otherData";
  const json::Object wrapped{{"args", *json::find(root, "otherData")}};
  read_args(wrapped, other);
  file.other = other.args;
  file.other_texts = other.texts;
  std::set<std::pair<int64_t, int64_t>> tracks;
  for (const TraceEvent& event : file.events)
    if (event.phase != "C") tracks.emplace(event.pid, event.tid);
  for (const auto& [pid, tid] : tracks) {
    EXPECT_TRUE(file.processes.contains(pid));
    EXPECT_TRUE(file.threads.contains({pid, tid})) << pid << "/" << tid << " has no name";
    check_nesting(file, pid, tid);
  }
  EXPECT_EQ(file.threads.size(), tracks.size()) << "tracks without events";
  return file;
}

}  // namespace pegainfer::testing

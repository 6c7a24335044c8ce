// What an engine tells a trace, and what the file then shows. Calls come in the order of the engine's loop:
// of a step its tokens and ends first, the step itself last.
#include "trace/chrome_trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "support/observer_cost.h"
#include "trace/trace_file.h"
#include "trace/trace_writer.h"

namespace pegainfer::trace {
namespace {

using pegainfer::testing::kEnginePid;
using pegainfer::testing::kRequestsPid;
using pegainfer::testing::read_trace;
using pegainfer::testing::TraceEvent;
using pegainfer::testing::TraceFile;
using ::testing::ElementsAre;

struct Row {
  uint64_t id;
  int num_tokens = 1;
  int position = 0;
  bool sample = true;
};

class ChromeTraceTest : public ::testing::Test {
 protected:
  // Times are milliseconds after the trace began.
  [[nodiscard]] TimePoint at(int ms) const { return begin_ + std::chrono::milliseconds(ms); }
  void start() {
    ASSERT_TRUE(trace_.start());
    begin_ = std::chrono::steady_clock::now();
  }
  TraceFile stop() {
    auto data = trace_.stop();
    EXPECT_TRUE(data);
    data->end = std::max(data->end, to_ns(at(1000)));
    std::string text;
    write_json(*data, "a \"model\"", [&](std::string_view piece) { text += piece; });
    return read_trace(text);
  }
  void queue(uint64_t id, int ms, const std::string& name = "") {
    trace_.on_queued(
        {.id = RequestId{id}, .name = name, .num_prompt_tokens = 10, .max_tokens = 5, .arrival = at(ms)},
        at(ms));
  }
  void schedule(uint64_t id, int ms) { trace_.on_scheduled(RequestId{id}, 0, at(ms)); }
  void finish(uint64_t id, int ms, FinishReason reason = FinishReason::kStop, TimePoint first_token = {}) {
    trace_.on_finished(RequestId{id}, {.reason = reason, .usage = {10, 4, 2}},
                       {.queued = at(0), .first_token = first_token, .finished = at(ms)});
  }
  // plan 1 ms, launch 1 ms, wait from `wait` to `end` - 1, deliver 1 ms.
  void step(int begin, int wait, int end, const std::vector<Row>& rows) {
    StepPlan plan;
    for (const Row& row : rows) {
      ScheduledSeq& seq = plan.seqs.emplace_back();
      seq.id = RequestId{row.id};
      seq.num_computed_tokens = row.position;
      seq.num_tokens = row.num_tokens;
      seq.sample = row.sample;
      plan.num_tokens += row.num_tokens;
    }
    trace_.on_step({.index = num_steps_++,
                    .plan_begin = at(begin),
                    .launch_begin = at(begin + 1),
                    .launch_end = at(begin + 2),
                    .wait_begin = at(wait),
                    .wait_end = at(end - 1),
                    .deliver_end = at(end),
                    .plan = &plan,
                    .num_running = static_cast<int>(rows.size()),
                    .num_waiting = 3,
                    .num_free_blocks = 40,
                    .num_total_blocks = 64});
  }

  ChromeTrace trace_;

 private:
  TimePoint begin_;
  uint64_t num_steps_ = 0;
};

const TraceEvent& find(const std::vector<TraceEvent>& track, const std::string& name) {
  static const TraceEvent kNone;
  for (const TraceEvent& event : track)
    if (event.name == name) return event;
  ADD_FAILURE() << "no " << name;
  return kNone;
}

TEST_F(ChromeTraceTest, StepsNestAndCount) {
  start();
  step(10, 12, 20, {{1, 30, 0}, {2}});
  step(20, 22, 30, {{1}});
  const TraceFile file = stop();
  EXPECT_THAT(file.names(kEnginePid, 1), ElementsAre("step", "plan", "launch", "wait", "deliver", "step",
                                                     "plan", "launch", "wait", "deliver"));
  EXPECT_EQ(file.threads.at({kEnginePid, 1}), "steps");
  const TraceEvent first = file.track(kEnginePid, 1).front();
  EXPECT_NEAR(first.dur, 10'000, 0.01);
  EXPECT_EQ(first.args.at("tokens"), 31);
  EXPECT_EQ(first.args.at("sequences"), 2);
  EXPECT_EQ(first.args.at("blocks_free"), 40);
  EXPECT_NEAR(find(file.track(kEnginePid, 1), "wait").dur, 7'000, 0.01);
  int counters = 0;
  for (const TraceEvent& event : file.events) {
    if (event.phase != "C") continue;
    ++counters;
    if (event.name == "requests") {
      EXPECT_EQ(event.args.at("waiting"), 3);
    } else {
      EXPECT_EQ(event.args.at("used"), 24);
    }
  }
  EXPECT_EQ(counters, 4);
  EXPECT_EQ(file.other_texts.at("model"), "a \"model\"");
}

TEST_F(ChromeTraceTest, StepsUnderWayTogetherHaveTracksOfTheirOwn) {
  start();
  step(0, 4, 10, {{1}});  // the plan of the next begins at 2
  step(2, 12, 20, {{1}});
  step(10, 22, 30, {{1}});
  const TraceFile file = stop();
  EXPECT_EQ(file.track(kEnginePid, 1).size(), 10U);
  EXPECT_EQ(file.track(kEnginePid, 2).size(), 5U);
}

TEST_F(ChromeTraceTest, LifeOfARequest) {
  start();
  queue(1, 5, "job-\"7\"");
  schedule(1, 10);
  step(10, 12, 20, {{1, 8, 0, false}});
  step(20, 22, 30, {{1, 2, 8, true}});
  step(30, 32, 40, {{1, 1, 10}});
  trace_.on_preempted(RequestId{1}, at(41));
  schedule(1, 60);
  step(60, 62, 70, {{1, 12, 0, true}});
  finish(1, 80);
  step(70, 72, 80, {{1, 1, 12}});
  const TraceFile file = stop();
  const auto track = file.track(kRequestsPid, 1);
  EXPECT_THAT(file.names(kRequestsPid, 1), ElementsAre("queued", "prefill", "prefill", "decode", "preempted",
                                                       "prefill", "decode", "finish"));
  EXPECT_EQ(file.threads.at({kRequestsPid, 1}), "job-\"7\"");
  EXPECT_NEAR(track[0].dur, 5'000, 0.01);
  EXPECT_EQ(track[0].args.at("prompt_tokens"), 10);
  EXPECT_EQ(track[2].args.at("position"), 8);
  EXPECT_EQ(track[2].args.at("tokens"), 2);
  EXPECT_NEAR(track[3].dur, 12'000, 0.01);  // from the end of its prompt's step to the preemption
  EXPECT_NEAR(track[4].dur, 19'000, 0.01);
  EXPECT_EQ(track[7].texts.at("reason"), "stop");
  EXPECT_EQ(track[7].args.at("cached_tokens"), 2);
}

TEST_F(ChromeTraceTest, ChunksLaunchedAheadDoNotOverlap) {
  start();
  queue(1, 0);
  schedule(1, 0);
  step(0, 4, 10, {{1, 8, 0, false}});
  step(2, 12, 20, {{1, 8, 8, false}});
  step(10, 22, 30, {{1, 8, 16, true}});
  const TraceFile file = stop();  // checks that slices nest
  EXPECT_THAT(file.names(kRequestsPid, 1), ElementsAre("queued", "prefill", "prefill", "prefill", "decode"));
}

TEST_F(ChromeTraceTest, EndsInEveryPhase) {
  start();
  for (const uint64_t id : {1, 2, 3, 4, 5}) queue(id, 1);
  finish(1, 3, FinishReason::kTimeout);
  for (const uint64_t id : {2, 3, 4, 5}) schedule(id, 4);
  finish(2, 20, FinishReason::kLength);  // its only token came with this step
  step(4, 6, 20, {{2, 5}, {3, 5}, {4, 2, 0, false}, {5, 5}});
  finish(3, 25, FinishReason::kCancelled);
  finish(4, 26, FinishReason::kError);
  trace_.on_preempted(RequestId{5}, at(27));
  finish(5, 40, FinishReason::kCancelled);
  const TraceFile file = stop();
  EXPECT_THAT(file.names(kRequestsPid, 1), ElementsAre("queued", "finish"));
  EXPECT_THAT(file.names(kRequestsPid, 2), ElementsAre("queued", "prefill", "finish"));
  EXPECT_THAT(file.names(kRequestsPid, 3), ElementsAre("queued", "prefill", "decode", "finish"));
  EXPECT_THAT(file.names(kRequestsPid, 4), ElementsAre("queued", "prefill", "prefill", "finish"));
  EXPECT_THAT(file.names(kRequestsPid, 5), ElementsAre("queued", "prefill", "decode", "preempted", "finish"));
  EXPECT_EQ(find(file.track(kRequestsPid, 1), "finish").texts.at("reason"), "timeout");
  EXPECT_EQ(find(file.track(kRequestsPid, 3), "finish").texts.at("reason"), "abort");
}

TEST_F(ChromeTraceTest, WhatGoesOnIsShownToTheEnd) {
  start();
  queue(1, 0);
  queue(2, 0);
  schedule(2, 1);
  step(1, 3, 5, {{2, 4}});
  const TraceFile file = stop();
  EXPECT_EQ(find(file.track(kRequestsPid, 1), "queued").args.at("goes_on"), 1);
  EXPECT_EQ(find(file.track(kRequestsPid, 2), "decode").args.at("goes_on"), 1);
}

TEST_F(ChromeTraceTest, TakesUpWhatRanBefore) {
  queue(1, 0, "not seen");  // off: forgotten
  start();
  finish(3, 8, FinishReason::kStop, at(-50));  // ended by the first step
  step(2, 4, 8, {{1}, {2, 8, 0, false}, {3}});
  step(8, 10, 20, {{1}, {2, 3, 8, true}});
  finish(1, 30);
  finish(2, 31);
  const TraceFile file = stop();
  EXPECT_THAT(file.names(kRequestsPid, 1), ElementsAre("decode", "finish"));
  EXPECT_THAT(file.names(kRequestsPid, 2), ElementsAre("prefill", "prefill", "decode", "finish"));
  EXPECT_THAT(file.names(kRequestsPid, 3), ElementsAre("decode", "finish"));
  EXPECT_EQ(file.threads.at({kRequestsPid, 1}), "request 1");
}

TEST_F(ChromeTraceTest, NothingIsRecordedWhileOff) {
  queue(1, 0);
  step(0, 2, 4, {{1}});
  EXPECT_FALSE(trace_.stop());
  start();
  const TraceFile file = stop();
  EXPECT_TRUE(file.events.empty());
  step(0, 2, 4, {{1}});
  start();
  EXPECT_TRUE(stop().events.empty());
}

TEST(ChromeTraceLimitsTest, TheLastOnesAreKeptAndTheFileSaysSo) {
  ChromeTrace trace({.max_steps = 10, .max_spans = 20, .max_names = 5});
  ASSERT_TRUE(trace.start());
  const TimePoint begin = std::chrono::steady_clock::now();
  StepPlan plan;
  for (int i = 0; i < 100; ++i) {
    const TimePoint now = begin + std::chrono::milliseconds(i);
    const RequestId id{static_cast<uint64_t>(i) + 1};
    trace.on_queued({.id = id, .name = "n" + std::to_string(i) + std::string(1000, 'x')}, now);
    trace.on_finished(id, {}, {.queued = now, .finished = now});
    trace.on_step({.index = static_cast<uint64_t>(i),
                   .plan_begin = now,
                   .launch_begin = now,
                   .launch_end = now,
                   .wait_begin = now,
                   .wait_end = now,
                   .deliver_end = now,
                   .plan = &plan});
  }
  std::string text;
  write_json(*trace.stop(), "m", [&](std::string_view piece) { text += piece; });
  const TraceFile file = read_trace(text);
  EXPECT_EQ(file.other.at("dropped_steps"), 90);
  EXPECT_EQ(file.other.at("dropped_request_slices"), 180);
  EXPECT_TRUE(file.other_texts.contains("note"));
  EXPECT_EQ(file.names(kRequestsPid, 100).size(), 2U);
  EXPECT_EQ(file.names(kRequestsPid, 90).size(), 0U);
  EXPECT_EQ((file.threads.at({kRequestsPid, 100}).size()), 256U);
  EXPECT_EQ((file.threads.at({kRequestsPid, 91})), "request 91");  // its name was dropped
}

// Started and stopped by other threads while the engine's goes on.
TEST(ChromeTraceThreadsTest, StartAndStopAtAnyTime) {
  ChromeTrace trace({.max_steps = 1000, .max_spans = 1000, .max_names = 100});
  std::jthread engine([&](const std::stop_token& stop) {
    StepPlan plan;
    plan.seqs.emplace_back().id = RequestId{1};
    plan.seqs.back().sample = true;
    for (uint64_t i = 1; !stop.stop_requested(); ++i) {
      const TimePoint now = std::chrono::steady_clock::now();
      trace.on_queued({.id = RequestId{i}}, now);
      trace.on_scheduled(RequestId{i}, 0, now);
      plan.seqs.front().id = RequestId{i};
      trace.on_step({.index = i,
                     .plan_begin = now,
                     .launch_begin = now,
                     .launch_end = now,
                     .wait_begin = now,
                     .wait_end = now,
                     .deliver_end = now,
                     .plan = &plan});
      trace.on_finished(RequestId{i}, {}, {.queued = now, .finished = now});
    }
  });
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(trace.start());
    EXPECT_FALSE(trace.start());
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    const auto data = trace.stop();
    ASSERT_TRUE(data);
    std::string text;
    write_json(*data, "m", [&](std::string_view piece) { text += piece; });
    (void)read_trace(text);
  }
}

// Figures for docs/performance/observability.md.
TEST(ChromeTraceCostTest, StepOf256Rows) {
  for (const bool on : {false, true}) {
    ChromeTrace trace;
    ASSERT_TRUE(!on || trace.start());
    const double us = pegainfer::testing::observer_us_per_step(trace, 256);
    std::printf("trace %s: %.2f us a step of 256 rows\n", on ? "on" : "off", us);
#ifdef NDEBUG
    EXPECT_LT(us, 15);
#endif
  }
}

}  // namespace
}  // namespace pegainfer::trace

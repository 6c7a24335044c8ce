// What the loop does around steps: deadlines, places in the queue, the prefix cache's reset, observers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine_harness.h"

namespace pegainfer {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using testing::alone;
using testing::Client;
using testing::engine_options;
using testing::executor_options;
using testing::FakeExecutorOptions;
using testing::Gate;
using ::testing::HasSubstr;
using testing::kEos;
using testing::make_engine;
using testing::tokens;

FakeExecutorOptions gated(const std::shared_ptr<Gate>& gate, int depth = 1) {
  FakeExecutorOptions e = executor_options();
  e.depth = depth;
  e.on_collect = [gate](const StepPlan&) { gate->pass(); };
  return e;
}

GenerateRequest request(std::vector<TokenId> prompt, int max_tokens, const Client& client) {
  GenerateRequest r;
  r.prompt = std::move(prompt);
  r.sampling = tokens(max_tokens);
  r.sink = Client(client).sink();
  return r;
}

class LoopTest : public ::testing::TestWithParam<int> {  // the depth
 protected:
  std::shared_ptr<Gate> gate_ = std::make_shared<Gate>();
};

TEST_P(LoopTest, ADeadlineEndsRequestsInTheQueueAndWhileTheyRun) {
  LlmEngineOptions o = engine_options();
  o.max_num_seqs = 1;
  const auto engine = make_engine(o, gated(gate_, GetParam()));
  Client running;
  Client queued;
  Client patient;
  GenerateRequest first = request({1, 2}, 150, running);
  GenerateRequest second = request({3, 4}, 100, queued);
  const auto first_deadline = steady_clock::now() + milliseconds(600);
  const auto second_deadline = steady_clock::now() + milliseconds(20);
  first.deadline = first_deadline;
  second.deadline = second_deadline;
  second.arrival = steady_clock::now() - std::chrono::seconds(5);
  ASSERT_TRUE(engine->submit(std::move(first)));
  ASSERT_TRUE(engine->submit(std::move(second)));
  ASSERT_TRUE(engine->submit(request({5, 6}, 10, patient)));
  gate_->allow(3);
  running.wait_tokens(3);
  std::this_thread::sleep_until(second_deadline + milliseconds(5));
  gate_->allow(1);  // a step ends: the queue is looked at
  const Finish late = queued.get();
  EXPECT_EQ(late.reason, FinishReason::kTimeout);
  EXPECT_THAT(late.message, HasSubstr("5.0 s after it arrived it was still waiting"));
  EXPECT_EQ(late.usage.completion_tokens, 0);
  EXPECT_EQ(running.num_finishes(), 0);
  std::this_thread::sleep_until(first_deadline + milliseconds(5));
  gate_->open();
  const Finish over = running.get();
  EXPECT_EQ(over.reason, FinishReason::kTimeout);
  EXPECT_THAT(over.message, HasSubstr("it was still running"));
  const std::vector<TokenId> got = running.tokens();
  EXPECT_GE(got.size(), 4U);
  EXPECT_LE(got.size(), 6U);  // none after the deadline but those of the steps under way
  std::vector<TokenId> expected = alone({1, 2}, 150, 1);
  expected.resize(got.size());
  EXPECT_EQ(got, expected);
  EXPECT_EQ(patient.get().reason, FinishReason::kLength);
  EXPECT_EQ(patient.tokens(), alone({5, 6}, 10, 1));  // the one before has long given its blocks back
  EXPECT_EQ(engine->stats().num_free_blocks, 100);
}

TEST_P(LoopTest, ADeadlineThatHasPassedCostsNoStep) {
  const auto engine = make_engine(engine_options(), gated(gate_, GetParam()));
  std::vector<Client> clients(20);
  const auto passed = steady_clock::now() - milliseconds(1);
  for (const Client& client : clients) {
    GenerateRequest r = request({1}, 5, client);
    r.deadline = passed;
    ASSERT_TRUE(engine->submit(std::move(r)));
  }
  for (const Client& client : clients) {
    EXPECT_EQ(client.get().reason, FinishReason::kTimeout);
    EXPECT_TRUE(client.tokens().empty());
  }
  EXPECT_EQ(engine->stats().num_steps, 0U);
  gate_->open();
  Client later;
  GenerateRequest r = request({1}, 5, later);
  r.deadline = steady_clock::now() + std::chrono::hours(1);
  ASSERT_TRUE(engine->submit(std::move(r)));
  EXPECT_EQ(later.get().reason, FinishReason::kLength);
}

TEST_P(LoopTest, PlacesAreGivenBackWithTheFinish) {
  LlmEngineOptions o = engine_options();
  o.max_num_seqs = 1;
  o.max_queued_requests = 2;
  const auto engine = make_engine(o, gated(gate_, GetParam()));
  std::vector<Client> clients(3);
  for (const Client& client : clients) ASSERT_TRUE(engine->submit(request({1}, 3, client)));
  Client refused;
  const auto full = engine->submit(request({1}, 3, refused));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::kResourceExhausted);
  EXPECT_EQ(full.error().type, "queue_full");
  EXPECT_FALSE(engine->reserve(1));
  EXPECT_EQ(engine->stats().rejections_by_requests_total, 2U);
  gate_->open();
  for (const Client& client : clients) client.get();
  EXPECT_EQ(refused.num_finishes(), 0);
  // Who hears of the last end finds room: also for one that reserved before it read its prompt.
  std::vector<std::unique_ptr<Admission>> places;
  for (int i = 0; i < 3; ++i) {
    auto place = engine->reserve(10);
    ASSERT_TRUE(place);
    places.push_back(*std::move(place));
  }
  EXPECT_FALSE(engine->submit(request({1}, 3, refused)));
  Client reserved;
  GenerateRequest r = request({1}, 3, reserved);
  r.admission = std::move(places[0]);
  ASSERT_TRUE(engine->submit(std::move(r)));
  EXPECT_EQ(reserved.get().reason, FinishReason::kLength);
  EXPECT_TRUE(engine->reserve(10));
}

TEST_P(LoopTest, TokensOfRequestsThatRunDoNotCountAsQueued) {
  LlmEngineOptions o = engine_options();
  o.max_num_seqs = 1;
  o.max_queued_tokens = 50;
  const auto engine = make_engine(o, gated(gate_, GetParam()));
  const std::vector<TokenId> prompt(40, 7);
  Client running;
  Client queued;
  Client refused;
  ASSERT_TRUE(engine->submit(request(prompt, 5, running)));
  gate_->wait_arrived(1);  // it was taken into a step
  ASSERT_TRUE(engine->submit(request(prompt, 5, queued)));
  EXPECT_FALSE(engine->submit(request(prompt, 5, refused)));
  EXPECT_EQ(engine->stats().rejections_by_tokens_total, 1U);
  gate_->open();
  running.get();
  queued.get();
  Client after;
  EXPECT_TRUE(engine->submit(request(prompt, 5, after)));
  after.get();
}

TEST_P(LoopTest, ResetForgetsThePrefixes) {
  FakeExecutorOptions e = executor_options();
  e.depth = GetParam();
  const auto engine = make_engine(engine_options(), e);
  const std::vector<TokenId> prompt(21, 9);
  const auto cached = [&] {
    Client client;
    EXPECT_TRUE(engine->submit(request(prompt, 4, client)));
    const int tokens = client.get().usage.cached_tokens;
    EXPECT_EQ(client.tokens(), alone(prompt, 4, 1));
    return tokens;
  };
  EXPECT_EQ(cached(), 0);
  EXPECT_EQ(cached(), 20);
  EXPECT_GT(engine->stats().num_cached_blocks, 0);
  EXPECT_EQ(engine->stats().prefix_cache_queries_total, 42U);
  EXPECT_EQ(engine->stats().prefix_cache_hits_total, 20U);
  engine->reset_prefix_cache();
  EXPECT_EQ(cached(), 0);
  EXPECT_EQ(cached(), 20);
  LlmEngineOptions off = engine_options();
  off.enable_prefix_caching = false;
  const auto without = make_engine(off, e);
  for (int i = 0; i < 2; ++i) {
    Client client;
    ASSERT_TRUE(without->submit(request(prompt, 4, client)));
    EXPECT_EQ(client.get().usage.cached_tokens, 0);
  }
}

// Everything an observer is told, in order.
class Recorder final : public EngineObserver {
 public:
  struct Token {
    RequestId id;
    int count;
    bool first;
    double since_last;
  };
  struct Step {
    StepObservation times;
    int num_tokens;
    size_t num_seqs;
  };

  void on_queued(const QueuedRequest& r, TimePoint now) override {
    EXPECT_GE(now, r.arrival);
    queued.push_back(r);
    order += 'q';
  }
  void on_scheduled(RequestId /*id*/, int cached, TimePoint /*now*/) override {
    num_cached.push_back(cached);
    order += 's';
  }
  void on_preempted(RequestId /*id*/, TimePoint /*now*/) override { order += 'p'; }
  void on_tokens(RequestId id, int count, bool first, double since, TimePoint /*now*/) override {
    tokens.push_back({id, count, first, since});
    order += 't';
  }
  void on_finished(RequestId /*id*/, const Finish& finish, const RequestTimes& times) override {
    finishes.push_back(finish);
    all_times.push_back(times);
    order += 'f';
    num_finished = static_cast<int>(finishes.size());
  }
  void on_step(const StepObservation& step) override {
    steps.push_back({step, step.plan->num_tokens, step.plan->seqs.size()});
    steps.back().times.plan = nullptr;
    order += '|';
  }

  std::vector<QueuedRequest> queued;
  std::vector<int> num_cached;
  std::vector<Token> tokens;
  std::vector<Finish> finishes;
  std::vector<RequestTimes> all_times;
  std::vector<Step> steps;
  std::string order;
  std::atomic<int> num_finished{0};
};

TEST_P(LoopTest, ObserversAreToldOfRequestsAndSteps) {
  const auto recorder = std::make_shared<Recorder>();
  LlmEngineOptions o = engine_options();
  o.observers = {recorder, std::make_shared<Recorder>()};
  FakeExecutorOptions e = executor_options();
  e.depth = GetParam();
  e.choose = [](uint64_t, int position) { return position == 43 ? kEos : TokenId{5}; };
  auto engine = make_engine(o, e);
  const auto before = steady_clock::now();
  Client client;
  GenerateRequest r = request(std::vector<TokenId>(40, 3), 100, client);  // two steps of at most 32 tokens
  r.sampling.ignore_eos = false;
  r.name = "mine";
  r.priority = -3;
  r.group = engine->new_group();
  r.arrival = before - std::chrono::seconds(2);
  r.sink = [&, sink = r.sink](TokenEvent event) {
    // Who is told finds it counted.
    EXPECT_EQ(recorder->num_finished, event.finish ? 1 : 0);
    sink(std::move(event));
  };
  const auto id = engine->submit(std::move(r));
  ASSERT_TRUE(id);
  const Finish finish = client.get();
  EXPECT_EQ(finish.reason, FinishReason::kStop);
  engine.reset();  // nobody writes to the recorder any more

  EXPECT_EQ(recorder->order.substr(0, 4), "qs|t");
  ASSERT_EQ(recorder->queued.size(), 1U);
  const QueuedRequest& queued = recorder->queued[0];
  EXPECT_EQ(queued.id, *id);
  EXPECT_EQ(queued.name, "mine");
  EXPECT_EQ(queued.num_prompt_tokens, 40);
  EXPECT_EQ(queued.max_tokens, 100);
  EXPECT_EQ(queued.priority, -3);
  EXPECT_NE(queued.group, 0U);
  EXPECT_EQ(recorder->num_cached, std::vector<int>{0});
  // Four tokens, the EOS among them: what usage says.
  int count = 0;
  for (size_t i = 0; i < recorder->tokens.size(); ++i) {
    count += recorder->tokens[i].count;
    EXPECT_EQ(recorder->tokens[i].first, i == 0);
    EXPECT_EQ(recorder->tokens[i].id, *id);
    EXPECT_EQ(recorder->tokens[i].since_last >= 2.0, i == 0);  // the first one since arrival
  }
  EXPECT_EQ(count, 4);
  EXPECT_EQ(finish.usage.completion_tokens, 4);
  ASSERT_EQ(recorder->finishes.size(), 1U);
  const RequestTimes& times = recorder->all_times[0];
  EXPECT_EQ(times.arrival, before - std::chrono::seconds(2));
  const std::vector<TimePoint> life = {before,           times.queued,  times.scheduled, times.first_token,
                                       times.last_token, times.finished};
  EXPECT_TRUE(std::is_sorted(life.begin(), life.end()));
  EXPECT_LT(times.finished, steady_clock::now());

  ASSERT_GE(recorder->steps.size(), 5U);
  EXPECT_EQ(recorder->steps[0].num_tokens, 32);
  EXPECT_EQ(recorder->steps[1].num_tokens, 8);
  EXPECT_EQ(recorder->steps[2].num_tokens, 1);
  for (size_t i = 0; i < recorder->steps.size(); ++i) {
    const StepObservation& s = recorder->steps[i].times;
    EXPECT_EQ(s.index, i);
    EXPECT_EQ(recorder->steps[i].num_seqs, 1U);
    const std::vector<TimePoint> points = {s.plan_begin, s.launch_begin, s.launch_end,
                                           s.wait_begin, s.wait_end,     s.deliver_end};
    EXPECT_TRUE(std::is_sorted(points.begin(), points.end())) << i;
    EXPECT_EQ(s.num_total_blocks, 100);
  }
  EXPECT_EQ(recorder->steps.back().times.num_free_blocks, 100);
  EXPECT_EQ(recorder->steps.back().times.num_running, 0);
}

TEST_P(LoopTest, ObserversHearOfPreemptionsAndOfEveryEnd) {
  const auto recorder = std::make_shared<Recorder>();
  LlmEngineOptions o = engine_options();
  o.observers = {recorder};
  o.force_preempt_every = 3;
  auto engine = make_engine(o, gated(gate_, GetParam()));
  std::vector<Client> clients(4);
  std::vector<RequestId> ids;
  for (size_t i = 0; i < clients.size(); ++i) {
    GenerateRequest r = request({static_cast<TokenId>(i), 2}, 20, clients[i]);
    if (i == 1) r.deadline = steady_clock::now();
    ids.push_back(*engine->submit(std::move(r)));
  }
  gate_->allow(4);
  clients[0].wait_tokens(3);
  engine->cancel(ids[2]);
  gate_->open();
  for (const Client& client : clients) client.get();
  const EngineStats stats = engine->stats();
  engine.reset();
  const auto told = [&](char what) {
    return std::count(recorder->order.begin(), recorder->order.end(), what);
  };
  EXPECT_EQ(told('q'), 4);
  EXPECT_EQ(told('f'), 4);
  EXPECT_GT(told('p'), 0);
  EXPECT_EQ(told('p'), static_cast<std::ptrdiff_t>(stats.num_preemptions_total));
  EXPECT_GE(told('s'), 3);
  // What they were told adds up to what the clients were billed.
  int told_tokens = 0;
  int billed_tokens = 0;
  for (const auto& t : recorder->tokens) told_tokens += t.count;
  for (const Finish& f : recorder->finishes) billed_tokens += f.usage.completion_tokens;
  EXPECT_EQ(told_tokens, billed_tokens);
  EXPECT_EQ(static_cast<uint64_t>(billed_tokens), stats.generation_tokens_total);
  // The one that never ran has no time of it.
  const auto timed_out = std::find_if(recorder->finishes.begin(), recorder->finishes.end(),
                                      [](const Finish& f) { return f.reason == FinishReason::kTimeout; });
  ASSERT_NE(timed_out, recorder->finishes.end());
  const RequestTimes& times =
      recorder->all_times[static_cast<size_t>(timed_out - recorder->finishes.begin())];
  EXPECT_EQ(times.scheduled, TimePoint());
  EXPECT_EQ(times.first_token, TimePoint());
  EXPECT_NE(times.finished, TimePoint());
}

INSTANTIATE_TEST_SUITE_P(Depths, LoopTest, ::testing::Values(1, 2));

}  // namespace
}  // namespace pegainfer

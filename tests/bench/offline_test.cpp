// Runs without HTTP: against the engine, and in virtual time.
#include "bench/offline.h"

#include <gtest/gtest.h>

#include <numeric>

#include "bench/sim_run.h"
#include "sim/sim_engine.h"

namespace pegainfer::bench {
namespace {

std::vector<BenchRequest> workload(int count, int input_len, int output_len) {
  return *random_ids({.num_prompts = count, .input_len = input_len, .output_len = output_len},
                     {.first_id = 0, .num_ids = 200});
}

TEST(Offline, EveryTokenIsCounted) {
  sim::SimEngineOptions options;
  const auto engine = sim::make_sim_engine(options);
  OfflineOptions run;
  run.sampling.ignore_eos = true;
  const auto result = run_offline(*engine, workload(30, 50, 9), run);
  ASSERT_TRUE(result);
  for (const RequestOutcome& o : result->outcomes) {
    EXPECT_TRUE(o.success) << o.error;
    EXPECT_EQ(o.output_len, 9);
  }
  EXPECT_GT(result->duration, 0);
}

sim::SimProfile ten_milliseconds_a_step() {
  sim::SimProfile p;
  p.step_overhead_s = 0.01;
  p.vocab_size = 1000;
  return p;
}

// A step takes 10 ms whatever is in it: one request of 1 + 9 steps takes 100 ms, and so do ten at once.
TEST(Simulate, TimesAreThoseOfTheSteps) {
  for (const int count : {1, 10}) {
    const auto result = simulate({.profile = ten_milliseconds_a_step()}, workload(count, 20, 10));
    ASSERT_TRUE(result);
    for (const RequestOutcome& o : result->outcomes) {
      EXPECT_TRUE(o.success) << o.error;
      EXPECT_EQ(o.output_len, 10);
      EXPECT_NEAR(o.ttft, 0.01, 0.0101);
      EXPECT_NEAR(o.latency - o.ttft, 0.09, 1e-6);
    }
    EXPECT_GE(result->num_steps, 10U);
  }
}

// Little's law: requests in the system are arrivals a second times the time each stays.
TEST(Simulate, LittlesLawHolds) {
  auto requests = workload(2000, 30, 20);
  set_arrivals(requests, 50, 1, 3);
  const auto result = simulate({.profile = ten_milliseconds_a_step(), .max_num_seqs = 64}, requests);
  ASSERT_TRUE(result);
  double stay = 0;
  std::vector<std::pair<double, int>> changes;
  for (const RequestOutcome& o : result->outcomes) {
    stay += o.latency;
    changes.emplace_back(o.start, 1);
    changes.emplace_back(o.start + o.latency, -1);
  }
  std::ranges::sort(changes);
  double area = 0;
  int present = 0;
  for (size_t i = 0; i + 1 < changes.size(); ++i) {
    present += changes[i].second;
    area += present * (changes[i + 1].first - changes[i].first);
  }
  const double average = area / result->duration;
  const double arrival_rate = 2000 / result->duration;
  EXPECT_NEAR(average, arrival_rate * stay / 2000, 0.02 * average);
  EXPECT_GT(average, 5);
}

TEST(Simulate, TheSameWorkloadIsTheSameResult) {
  auto requests = workload(200, 300, 30);
  set_arrivals(requests, 20, 1, 3);
  const auto profile = sim::find_profile("h100-qwen3-4b");
  ASSERT_TRUE(profile);
  const auto a = simulate({.profile = *profile}, requests);
  const auto b = simulate({.profile = *profile}, requests);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->num_steps, b->num_steps);
  for (size_t i = 0; i < requests.size(); ++i) EXPECT_EQ(a->outcomes[i].latency, b->outcomes[i].latency);
  // The bus is the floor of a step: weights once.
  EXPECT_GT(a->duration,
            static_cast<double>(a->num_steps) * profile->weights_bytes / profile->bandwidth * 0.99);
}

}  // namespace
}  // namespace pegainfer::bench

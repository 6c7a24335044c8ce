// The host's work on one decode step: plan, input batch, launch and result bookkeeping, delivery to sinks;
// with no model behind it. Prints microseconds a step (median and 99th percentile) and allocations a step.
//
//   bench_step [context] [steps]      (1024 2000)
#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "runner/input_batch.h"
#include "scheduler/scheduler.h"

namespace {
std::atomic<uint64_t> num_allocations{0};
}

[[gnu::noinline]] void* operator new(size_t size) {
  num_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }

namespace pegainfer {
namespace {

using Clock = std::chrono::steady_clock;

double micros(Clock::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

struct Parts {
  std::vector<double> plan, batch, result, all;
};

double at(std::vector<double>& values, double share) {
  std::ranges::sort(values);
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

class Bench {
 public:
  Bench(int num_seqs, int context, int steps)
      : num_seqs_(num_seqs),
        context_(context),
        num_blocks_(1 + num_seqs * ((context + 2 * steps) / kBlockSize + 10)),
        scheduler_({.max_num_seqs = num_seqs,
                    .max_num_batched_tokens = std::max(num_seqs, 8192),
                    .max_model_len = context + 2 * steps + 100,
                    .num_kv_blocks = num_blocks_,
                    .block_size = kBlockSize}),
        backend_({.threads = 1}),
        limits_{.max_num_seqs = num_seqs,
                .max_num_batched_tokens = std::max(num_seqs, 8192),
                .max_blocks_per_seq = (context + 2 * steps) / kBlockSize + 10,
                .vocab_size = 1000},
        blocks_(*StepBlocks::create(backend_, limits_)),
        inputs_(*InputBatch::create(backend_, limits_, blocks_)) {
    kv_ = {.num_layers = 1,
           .num_blocks = num_blocks_,
           .block_size = kBlockSize,
           .num_kv_heads = 1,
           .head_dim = 64};
  }

  Parts run(int steps) {
    for (int i = 0; i < num_seqs_; ++i) add(i);
    while (scheduler_.num_waiting() > 0 || plan_.num_tokens != num_seqs_) step(nullptr);
    for (int i = 0; i < 3 * kBlockSize; ++i) step(nullptr);  // every vector has met its size
    Parts parts;
    for (auto* part : {&parts.plan, &parts.batch, &parts.result, &parts.all})
      part->reserve(static_cast<size_t>(steps));
    const uint64_t before = num_allocations.load();
    for (int i = 0; i < steps; ++i) step(&parts);
    allocations_per_step = static_cast<double>(num_allocations.load() - before) / steps;
    return parts;
  }

  double allocations_per_step = 0;
  uint64_t delivered = 0;

 private:
  static constexpr int kBlockSize = 16;

  void add(int i) {
    std::vector<TokenId> prompt(static_cast<size_t>(context_));
    for (int t = 0; t < context_; ++t) prompt[static_cast<size_t>(t)] = (i * 7919 + t) % 1000;
    SamplingParams sampling;
    sampling.max_tokens = 1 << 20;
    sampling.ignore_eos = true;
    sampling.seed = static_cast<uint64_t>(i);
    const Status added = scheduler_.add(std::make_unique<Request>(RequestId{static_cast<uint64_t>(i) + 1},
                                                                  std::move(prompt), std::move(sampling)));
    if (!added) fmt::print("{}\n", added.error().message);
  }

  void step(Parts* parts) {
    const auto begin = Clock::now();
    scheduler_.schedule(plan_);
    const auto planned = Clock::now();
    inputs_.stage(plan_, kv_, 1000, nullptr);
    const auto staged = Clock::now();
    scheduler_.on_launched(plan_);
    result_.seqs.resize(plan_.seqs.size());
    for (size_t i = 0; i < plan_.seqs.size(); ++i) {  // what a model would have answered
      result_.seqs[i].id = plan_.seqs[i].id;
      result_.seqs[i].tokens = plan_.seqs[i].sample ? StepTokens{7} : StepTokens{};
    }
    const auto answered = Clock::now();
    scheduler_.on_result(result_);
    scheduler_.take_events(events_);
    for (const RequestEvent& event : events_) delivered += event.event.tokens.size();
    const auto end = Clock::now();
    if (parts == nullptr) return;
    parts->plan.push_back(micros(planned - begin));
    parts->batch.push_back(micros(staged - planned));
    parts->result.push_back(micros(end - answered));
    parts->all.push_back(micros(staged - begin) + micros(end - answered));
  }

  int num_seqs_, context_, num_blocks_;
  Scheduler scheduler_;
  CpuBackend backend_;
  InputBatchLimits limits_;
  StepBlocks blocks_;
  InputBatch inputs_;
  KvCacheView kv_;
  StepPlan plan_;
  StepResult result_;
  std::vector<RequestEvent> events_;
};

}  // namespace
}  // namespace pegainfer

int main(int argc, char** argv) {
  const int context = argc > 1 ? std::stoi(argv[1]) : 1024;
  const int steps = argc > 2 ? std::stoi(argv[2]) : 2000;
  fmt::print("host cost of a decode step, context {}, {} steps, us (p50 / p99)\n", context, steps);
  fmt::print("{:>5} {:>15} {:>15} {:>15} {:>15} {:>12}\n", "seqs", "plan", "input batch", "result+deliver",
             "all", "allocations");
  for (const int num_seqs : {1, 32, 256}) {
    pegainfer::Bench bench(num_seqs, context, steps);
    pegainfer::Parts parts = bench.run(steps);
    const auto cell = [](std::vector<double>& v) {
      return fmt::format("{:.1f} / {:.1f}", pegainfer::at(v, 0.5), pegainfer::at(v, 0.99));
    };
    fmt::print("{:>5} {:>15} {:>15} {:>15} {:>15} {:>12.3f}\n", num_seqs, cell(parts.plan), cell(parts.batch),
               cell(parts.result), cell(parts.all), bench.allocations_per_step);
  }
  return 0;
}

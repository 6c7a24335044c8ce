// A steady decode step allocates nothing on the engine's thread, from the plan to the sinks. This test binary
// has its own operator new, which counts.
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <future>
#include <memory>
#include <new>
#include <vector>

#include "engine/llm_engine.h"

namespace {

thread_local uint64_t allocations = 0;  // of this thread

void* counted(size_t size) {
  ++allocations;
  void* p = std::malloc(size == 0 ? 1 : size);
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

}  // namespace

[[gnu::noinline]] void* operator new(size_t size) { return counted(size); }
void* operator new[](size_t size) { return counted(size); }
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t /*size*/) noexcept { std::free(p); }
void operator delete[](void* p, size_t /*size*/) noexcept { std::free(p); }

namespace pegainfer {
namespace {

constexpr int kSeqs = 64;

// Answers with the token 5, and keeps what it needs for that in memory of its own.
class StubExecutor final : public StepExecutor {
 public:
  explicit StubExecutor(int depth) : depth_(depth) {
    for (auto& launch : launches_) launch.reserve(kSeqs);
  }
  void launch(const StepPlan& plan) override {
    auto& launch = launches_.at(num_launched_++ % launches_.size());
    launch.clear();
    for (const ScheduledSeq& seq : plan.seqs) launch.push_back({seq.id, seq.sample});
  }
  void collect(StepResult& result) override {
    const auto& launch = launches_.at(num_collected_++ % launches_.size());
    result.seqs.resize(launch.size());
    for (size_t i = 0; i < launch.size(); ++i) {
      result.seqs[i].id = launch[i].id;
      result.seqs[i].tokens = launch[i].sample ? StepTokens{5} : StepTokens();
    }
  }
  [[nodiscard]] int depth() const override { return depth_; }

 private:
  struct Row {
    RequestId id;
    bool sample;
  };
  int depth_;
  std::array<std::vector<Row>, 2> launches_;
  size_t num_launched_ = 0;
  size_t num_collected_ = 0;
};

// 64 sequences at once; the last one looks at the count whenever a token comes.
std::vector<uint64_t> counts_by_token(int depth, bool prefix_caching, int num_tokens) {
  LlmEngineOptions o;
  o.info.vocab_size = 100;
  o.info.max_model_len = 1024;
  o.info.block_size = 16;
  o.info.num_kv_blocks = kSeqs * 64 + 1;
  o.max_num_seqs = kSeqs;
  o.max_num_batched_tokens = 512;
  o.enable_prefix_caching = prefix_caching;
  LlmEngine engine(o, std::make_unique<StubExecutor>(depth));
  std::vector<uint64_t> counts;
  counts.reserve(static_cast<size_t>(num_tokens) + 1);
  std::promise<void> all_done;
  int num_left = kSeqs;
  for (int i = 0; i < kSeqs; ++i) {
    GenerateRequest r;
    r.prompt.assign(100, static_cast<TokenId>(i));
    r.sampling.max_tokens = num_tokens;
    r.sampling.temperature = 0;
    r.sink = [&, watches = i == kSeqs - 1](TokenEvent event) {
      if (watches && !event.tokens.empty()) counts.push_back(allocations);
      if (event.finish && --num_left == 0) all_done.set_value();
    };
    EXPECT_TRUE(engine.submit(std::move(r)));
  }
  all_done.get_future().wait();
  return counts;
}

TEST(EngineAllocations, ASteadyDecodeStepAllocatesNothing) {
  for (const int depth : {1, 2}) {
    for (const bool prefix_caching : {false, true}) {
      const std::vector<uint64_t> counts = counts_by_token(depth, prefix_caching, 600);
      ASSERT_EQ(counts.size(), 600U);
      EXPECT_GT(counts.front(), 0U);  // the start does, and is counted
      EXPECT_EQ(counts[500] - counts[40], 0U) << "depth " << depth << ", prefix cache " << prefix_caching;
    }
  }
}

}  // namespace
}  // namespace pegainfer

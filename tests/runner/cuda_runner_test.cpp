// Tiny models on the GPU: a captured step is the eager one bit for bit, and whatever stands beside a
// sequence, it gets what the CPU backend gives it, up to the rounding of BF16.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <optional>
#include <random>

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/cuda_backend.h"
#include "base/check.h"
#include "runner/model_loader.h"
#include "support/step_driver.h"
#include "support/tiny_model.h"

namespace pegainfer {
namespace {

using testing::DrivenSeq;
using testing::first_difference;
using testing::make_seq;
using testing::run_alone;
using testing::run_step_of;
using testing::TinyModel;

constexpr int kBlockSize = 16;
constexpr int kBlocks = 97;

struct Case {
  std::string name;
  TinyModel model;
  std::string dtype;
  std::string kv_dtype = "auto";
};

std::unique_ptr<Backend> gpu() {
  auto backend = CudaBackend::create(0, false);
  return backend ? std::unique_ptr<Backend>(*std::move(backend)) : nullptr;
}

struct Machine {
  testing::TempDir directory;
  std::unique_ptr<Backend> backend;
  std::optional<LoadedModel> loaded;
  std::mt19937 random{7};

  Machine(std::unique_ptr<Backend> device, const Case& c, bool eager, int depth = 1)
      : backend(std::move(device)) {
    testing::write_model(c.model, testing::tiny_tensors(c.model), directory.path());
    const auto checkpoint = Checkpoint::open(directory.path().string(), {});
    CHECK(checkpoint.has_value(), "{}", checkpoint ? "" : checkpoint.error().message);
    auto result = load_model(*backend, *checkpoint,
                             {.dtype = c.dtype,
                              .kv_cache_dtype = c.kv_dtype,
                              .max_num_seqs = 16,
                              .max_num_batched_tokens = 160,
                              .block_size = kBlockSize,
                              .num_kv_blocks = kBlocks,
                              .depth = depth,
                              .enforce_eager = eager},
                             {});
    CHECK(result.has_value(), "{}", result ? "" : result.error().message);
    loaded.emplace(*std::move(result));
  }
  ModelRunner& runner() { return *loaded->runner; }
  std::vector<std::vector<int32_t>> tables(int count, int length) {
    std::vector<int32_t> ids(kBlocks - 1);
    std::iota(ids.begin(), ids.end(), 1);
    std::shuffle(ids.begin(), ids.end(), random);
    const int each = (length + kBlockSize - 1) / kBlockSize;
    std::vector<std::vector<int32_t>> out;
    for (int i = 0; i < count; ++i) out.emplace_back(ids.begin() + i * each, ids.begin() + (i + 1) * each);
    return out;
  }
  std::vector<TokenId> prompt(int length) {
    std::uniform_int_distribution<TokenId> token(0, loaded->config.vocab_size - 1);
    std::vector<TokenId> out(static_cast<size_t>(length));
    for (TokenId& t : out) t = token(random);
    return out;
  }
};

class CudaRunnerTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    if (gpu() != nullptr) return;
    ASSERT_EQ(std::getenv("PEGA_REQUIRE_GPU"), nullptr) << "PEGA_REQUIRE_GPU is set and no GPU can be used";
    GTEST_SKIP() << "no GPU";
  }
  static bool in_f32() { return GetParam().dtype == "float32"; }
  // Mean and largest distance of log-probabilities of the same tokens.
  static void expect_near(const std::vector<PositionLogprobs>& a, const std::vector<PositionLogprobs>& b,
                          const std::string& what) {
    ASSERT_EQ(a.size(), b.size()) << what;
    double sum = 0;
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      ASSERT_EQ(a[i].chosen.token, b[i].chosen.token) << what << " at " << i;
      const double d =
          std::abs(static_cast<double>(a[i].chosen.logprob) - static_cast<double>(b[i].chosen.logprob));
      sum += d;
      worst = std::max(worst, std::isnan(d) ? HUGE_VAL : d);
    }
    // BF16: as far as two BF16 runs of the reference are from each other (docs/numerics.md).
    EXPECT_LE(sum / static_cast<double>(std::max<size_t>(a.size(), 1)), in_f32() ? 2e-4 : 0.05) << what;
    EXPECT_LE(worst, in_f32() ? 2e-3 : 0.4) << what;
  }
};

TEST_P(CudaRunnerTest, NearTheCpu) {
  Machine device(gpu(), GetParam(), false);
  Machine host(std::make_unique<CpuBackend>(CpuBackendOptions{.threads = 2}), GetParam(), true);
  for (const int length : {1, 2, 17, 64, 150}) {
    const std::vector<TokenId> prompt = device.prompt(length);
    DrivenSeq a = make_seq(prompt, device.tables(1, 200)[0]);
    DrivenSeq b = make_seq(prompt, device.tables(1, 200)[0]);
    run_alone(device.runner(), a, 160, 1);
    run_alone(host.runner(), b, 160, 1);
    expect_near(a.prompt_logprobs, b.prompt_logprobs, "prompt of " + std::to_string(length));
  }
}

TEST_P(CudaRunnerTest, ChunksAndBatchMatesChangeRoundingOnly) {
  Machine m(gpu(), GetParam(), false);
  const std::vector<TokenId> prompt = m.prompt(150);
  DrivenSeq whole = make_seq(prompt, m.tables(1, 200)[0]);
  run_alone(m.runner(), whole, 160, 1);
  for (const int chunk : {1, 7, 16, 64, 149}) {
    DrivenSeq chunked = make_seq(prompt, m.tables(1, 200)[0]);
    run_alone(m.runner(), chunked, chunk, 1);
    expect_near(whole.prompt_logprobs, chunked.prompt_logprobs, "chunks of " + std::to_string(chunk));
  }
  const auto tables = m.tables(4, 160);
  std::vector<DrivenSeq> batch;
  std::vector<DrivenSeq*> pointers;
  for (size_t i = 0; i < 4; ++i)
    batch.push_back(make_seq(m.prompt(10 + 20 * static_cast<int>(i)), tables[i]));
  for (DrivenSeq& s : batch) pointers.push_back(&s);
  std::vector<DrivenSeq> alone = batch;
  run_step_of(m.runner(), pointers, {10, 30, 50, 70});
  for (size_t i = 0; i < 4; ++i) {
    run_alone(m.runner(), alone[i], 160, 1);
    expect_near(alone[i].prompt_logprobs, batch[i].prompt_logprobs, "sequence " + std::to_string(i));
  }
}

TEST_P(CudaRunnerTest, RepeatedEqualsFirstBitForBit) {
  Machine m(gpu(), GetParam(), false);
  const std::vector<TokenId> prompt = m.prompt(100);
  DrivenSeq first = make_seq(prompt, m.tables(1, 128)[0]);
  run_alone(m.runner(), first, 160, 8);
  for (int i = 0; i < 3; ++i) {
    DrivenSeq again = make_seq(prompt, m.tables(1, 128)[0]);
    run_alone(m.runner(), again, 160, 8);
    EXPECT_EQ(first.generated(), again.generated());
    EXPECT_EQ(first_difference(first.prompt_logprobs, again.prompt_logprobs), "");
    EXPECT_EQ(first_difference(first.logprobs, again.logprobs), "");
  }
}

// The same decode step through the runner's own plan, launched op by op and as a graph of the same shape,
// with the log-probabilities of every row.
TEST_P(CudaRunnerTest, ACapturedStepIsTheEagerOneBitForBit) {
  Machine m(gpu(), GetParam(), true);
  const auto tables = m.tables(5, 64);
  std::vector<DrivenSeq> seqs;
  std::vector<DrivenSeq*> pointers;
  std::vector<int> counts;
  for (size_t i = 0; i < 5; ++i) {
    seqs.push_back(make_seq(m.prompt(3 + 9 * static_cast<int>(i)), tables[i]));
    counts.push_back(3 + 9 * static_cast<int>(i));
  }
  for (DrivenSeq& s : seqs) pointers.push_back(&s);
  run_step_of(m.runner(), pointers, counts);

  StepPlan plan;
  for (size_t i = 0; i < 5; ++i) {
    plan.seqs.push_back({.id = {i},
                         .num_computed_tokens = seqs[i].num_computed,
                         .num_tokens = 1,
                         .first_token = static_cast<int>(i),
                         .first_block = static_cast<int>(plan.block_ids.size()),
                         .num_blocks = static_cast<int>(tables[i].size()),
                         .sample = true,
                         .temperature = i % 2 == 0 ? 0.0F : 1.0F,
                         .seed = i,
                         .logprobs = 20});
    plan.token_ids.push_back(seqs[i].tokens.back());
    plan.block_ids.insert(plan.block_ids.end(), tables[i].begin(), tables[i].end());
  }
  plan.num_tokens = 5;
  const InputBatchLimits limits = m.loaded->options.batch_limits(m.loaded->config.vocab_size);
  const StepBlocks blocks = *StepBlocks::create(*m.backend, limits);
  InputBatch inputs = *InputBatch::create(*m.backend, limits, blocks);
  // The runner's cache, by the address of the view it works on.
  KvCacheView kv = m.runner().kv_cache();
  const StepTensors step = inputs.stage(plan, kv, m.loaded->config.vocab_size, nullptr);
  const Buffer memory = *m.backend->allocate(plan_workspace(*m.loaded->model, m.loaded->options));
  Arena arena(memory.bytes());
  const auto enqueue = [&] {
    run_step(*m.loaded->model, m.backend->ops(), arena, m.loaded->arithmetic, m.loaded->options.head_rows,
             step);
  };
  const auto results = [&](const std::function<void()>& run) {
    inputs.upload();
    run();
    inputs.fetch();
    m.backend->record()->wait();
    StepResult out;
    inputs.results(out);
    return out;
  };
  const StepResult eager = results(enqueue);
  const std::unique_ptr<Graph> graph = m.backend->capture(enqueue);
  for (int i = 0; i < 3; ++i) {
    const StepResult captured = results([&] { graph->launch(); });
    for (size_t s = 0; s < 5; ++s) {
      EXPECT_EQ(eager.seqs[s].tokens, captured.seqs[s].tokens);
      EXPECT_EQ(first_difference(eager.seqs[s].logprobs, captured.seqs[s].logprobs), "") << s;
      EXPECT_EQ(eager.seqs[s].logprobs[0].top.size(), 20U);
    }
  }
  ASSERT_TRUE(m.backend->health().has_value()) << m.backend->health().error().message;
}

// Padded to buckets and captured, or launched op by op: the same tokens, greedy and drawn, at one and at two
// launches under way; and nothing is allocated once the runner is there.
TEST_P(CudaRunnerTest, BucketsGiveTheSameTokensAndAllocateNothing) {
  Machine eager(gpu(), GetParam(), true);
  Machine graphs(gpu(), GetParam(), false);
  const uint64_t allocations = graphs.backend->num_allocations();
  for (const int count : {1, 3, 8, 9, 16}) {
    const auto tables = eager.tables(count, 64);
    std::vector<DrivenSeq> a;
    for (int i = 0; i < count; ++i) {
      a.push_back(make_seq(eager.prompt(1 + i), tables[static_cast<size_t>(i)]));
      a.back().temperature = i % 2 == 0 ? 0.0F : 0.9F;
      a.back().seed = static_cast<uint64_t>(i);
      a.back().top_n = -1;
      a.back().want_prompt_logprobs = false;
    }
    std::vector<DrivenSeq> b = a;
    for (auto* run : {&a, &b}) {
      Machine& m = run == &a ? eager : graphs;
      std::vector<DrivenSeq*> seqs;
      std::vector<int> prompts;
      for (DrivenSeq& seq : *run) {
        seqs.push_back(&seq);
        prompts.push_back(static_cast<int>(seq.tokens.size()));
      }
      run_step_of(m.runner(), seqs, prompts);
      for (int step = 0; step < 12; ++step) run_step_of(m.runner(), seqs, std::vector<int>(seqs.size(), 1));
    }
    for (size_t i = 0; i < a.size(); ++i)
      EXPECT_EQ(a[i].generated(), b[i].generated()) << i << " of " << count;
  }
  EXPECT_EQ(graphs.backend->num_allocations(), allocations);
}

std::vector<Case> cases() {
  return {
      {"qwen3_bf16", testing::tiny_qwen3(), "bfloat16"},
      {"qwen3_f32", testing::tiny_qwen3(), "float32"},
      {"qwen2_bf16", testing::tiny_qwen2(), "bfloat16"},
      {"llama_bf16", testing::tiny_llama(), "auto"},
      {"mistral_bf16", testing::tiny_mistral(), "bfloat16"},
      {"mistral_kv_f32", testing::tiny_mistral(), "bfloat16", "float32"},
  };
}

INSTANTIATE_TEST_SUITE_P(Models, CudaRunnerTest, ::testing::ValuesIn(cases()),
                         [](const auto& param_info) { return param_info.param.name; });

}  // namespace
}  // namespace pegainfer

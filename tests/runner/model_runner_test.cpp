// The runner on tiny models with real kernels: what a sequence gets depends on that sequence alone, bit for
// bit.
#include "runner/model_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "runner/model_loader.h"
#include "sampling/validate.h"
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
using testing::TinyTensor;

constexpr int kBlockSize = 16;
constexpr int kBlocks = 97;
constexpr int kMaxTokens = 160;

struct Case {
  std::string name;
  TinyModel model;
  std::string dtype;
  std::string kv_dtype = "auto";
};

struct Machine {
  testing::TempDir directory;
  std::unique_ptr<Backend> backend;
  std::optional<LoadedModel> loaded;
  std::mt19937 random{7};

  Machine(const Case& c, const std::vector<TinyTensor>& tensors, int depth = 1,
          std::vector<int> graph_buckets = {}) {
    testing::write_model(c.model, tensors, directory.path());
    backend = *create_backend({.device = "cpu", .threads = 2, .check = true});
    const auto checkpoint = Checkpoint::open(directory.path().string(), {});
    CHECK(checkpoint.has_value(), "{}", checkpoint ? "" : checkpoint.error().message);
    auto result = load_model(*backend, *checkpoint,
                             {.dtype = c.dtype,
                              .kv_cache_dtype = c.kv_dtype,
                              .max_num_seqs = 16,
                              .max_num_batched_tokens = kMaxTokens,
                              .block_size = kBlockSize,
                              .num_kv_blocks = kBlocks,
                              .depth = depth,
                              .graph_buckets = std::move(graph_buckets)},
                             {});
    CHECK(result.has_value(), "{}", result ? "" : result.error().message);
    loaded.emplace(*std::move(result));
  }
  explicit Machine(const Case& c) : Machine(c, testing::tiny_tensors(c.model)) {}

  ModelRunner& runner() { return *loaded->runner; }
  // Block ids in any order, without repeats, for `count` sequences of at most `length` positions.
  std::vector<std::vector<int32_t>> tables(int count, int length) {
    std::vector<int32_t> ids(kBlocks - 1);
    std::iota(ids.begin(), ids.end(), 1);
    std::shuffle(ids.begin(), ids.end(), random);
    const int each = (length + kBlockSize - 1) / kBlockSize;
    CHECK(count * each <= kBlocks - 1, "{} x {} blocks", count, each);
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

class ModelRunnerTest : public ::testing::TestWithParam<Case> {
 protected:
  static void expect_same(const DrivenSeq& a, const DrivenSeq& b, const std::string& what) {
    EXPECT_EQ(a.generated(), b.generated()) << what;
    EXPECT_EQ(first_difference(a.prompt_logprobs, b.prompt_logprobs), "") << what << ", prompt";
    EXPECT_EQ(first_difference(a.logprobs, b.logprobs), "") << what << ", generated";
  }
};

TEST_P(ModelRunnerTest, ChunkedEqualsWhole) {
  Machine m(GetParam());
  const std::vector<TokenId> prompt = m.prompt(150);
  DrivenSeq whole = make_seq(prompt, m.tables(1, 200)[0]);
  run_alone(m.runner(), whole, 160, 8);
  ASSERT_EQ(whole.prompt_logprobs.size(), 149U);
  ASSERT_EQ(whole.logprobs.size(), 8U);
  for (const int chunk : {1, 2, 7, 16, 31, 64, 149}) {
    DrivenSeq chunked = make_seq(prompt, m.tables(1, 200)[0]);
    run_alone(m.runner(), chunked, chunk, 8);
    expect_same(whole, chunked, "chunks of " + std::to_string(chunk));
  }
}

TEST_P(ModelRunnerTest, RepeatedEqualsFirstInAnyBlocks) {
  Machine m(GetParam());
  const std::vector<TokenId> prompt = m.prompt(100);
  std::vector<int32_t> ascending(8);
  std::iota(ascending.begin(), ascending.end(), 1);
  DrivenSeq first = make_seq(prompt, ascending);
  run_alone(m.runner(), first, 160, 8);
  for (int i = 0; i < 4; ++i) {
    DrivenSeq again = make_seq(prompt, i == 0 ? ascending : m.tables(1, 128)[0]);
    run_alone(m.runner(), again, 160, 8);
    expect_same(first, again, "run " + std::to_string(i));
  }
}

// Decode steps padded to a bucket, batches of every size up to the largest bucket and beyond it; sequences
// that want log-probabilities make their steps eager.
TEST_P(ModelRunnerTest, GraphEqualsEager) {
  Machine eager(GetParam());
  Machine graphs(GetParam(), testing::tiny_tensors(GetParam().model), 1, {1, 2, 4, 8});
  for (const int count : {1, 2, 3, 5, 8, 9}) {
    const auto tables = eager.tables(count, 64);
    std::vector<DrivenSeq> a;
    for (int i = 0; i < count; ++i) {
      a.push_back(make_seq(eager.prompt(1 + 3 * i), tables[static_cast<size_t>(i)]));
      a.back().temperature = i % 2 == 0 ? 0.0F : 0.9F;
      a.back().seed = static_cast<uint64_t>(i);
      a.back().top_n = count == 3 ? i - 1 : -1;
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
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].generated().size(), 13U);
      expect_same(a[i], b[i], "sequence " + std::to_string(i) + " of " + std::to_string(count));
    }
  }
}

// Ten random batches: sequences of any lengths that come, are computed in pieces of any size beside each
// other, and generate, greedily or not.
TEST_P(ModelRunnerTest, BatchedEqualsAlone) {
  Machine m(GetParam());
  for (int round = 0; round < 10; ++round) {
    const int count = std::uniform_int_distribution<int>(2, 9)(m.random);
    const auto tables = m.tables(count, 160);
    std::vector<DrivenSeq> batch;
    std::vector<DrivenSeq> alone;
    for (int i = 0; i < count; ++i) {
      const int length = std::uniform_int_distribution<int>(1, i % 3 == 0 ? 140 : 30)(m.random);
      DrivenSeq seq = make_seq(m.prompt(length), tables[static_cast<size_t>(i)]);
      seq.temperature = i % 2 == 0 ? 0.0F : 1.3F;
      seq.top_k = i % 4 == 1 ? 20 : 0;
      seq.seed = m.random();
      seq.top_n = i % 5 - 1;
      seq.want_prompt_logprobs = i % 3 != 2;
      alone.push_back(seq);
      run_alone(m.runner(), alone.back(), 160, 6);
      batch.push_back(seq);
    }
    std::vector<DrivenSeq*> seqs;
    for (DrivenSeq& s : batch) seqs.push_back(&s);
    std::shuffle(seqs.begin(), seqs.end(), m.random);
    while (std::any_of(batch.begin(), batch.end(),
                       [](const DrivenSeq& s) { return s.generated().size() < 6; })) {
      int budget = kMaxTokens;
      std::vector<int> counts;
      for (const DrivenSeq* s : seqs) {
        const int left = s->generated().size() < 6 ? static_cast<int>(s->tokens.size()) - s->num_computed : 0;
        const int wanted = std::uniform_int_distribution<int>(0, std::min(left, 50))(m.random);
        counts.push_back(std::min(wanted, budget));
        budget -= counts.back();
      }
      if (budget < kMaxTokens) run_step_of(m.runner(), seqs, counts);
    }
    for (int i = 0; i < count; ++i)
      expect_same(alone[static_cast<size_t>(i)], batch[static_cast<size_t>(i)],
                  "round " + std::to_string(round) + ", sequence " + std::to_string(i));
  }
}

TEST_P(ModelRunnerTest, LogprobsAreADistributionAndGreedyIsItsMode) {
  Machine m(GetParam());
  DrivenSeq seq = make_seq(m.prompt(40), m.tables(1, 64)[0]);
  seq.top_n = kMaxLogprobs;
  run_alone(m.runner(), seq, 160, 4);
  for (const PositionLogprobs& p : seq.logprobs) {
    ASSERT_EQ(p.top.size(), static_cast<size_t>(kMaxLogprobs));
    EXPECT_EQ(p.chosen.token, p.top[0].token);
    EXPECT_EQ(p.chosen.logprob, p.top[0].logprob);
    double sum = 0;
    for (size_t i = 0; i < p.top.size(); ++i) {
      sum += std::exp(p.top[i].logprob);
      if (i > 0) {
        EXPECT_LE(p.top[i].logprob, p.top[i - 1].logprob);
      }
    }
    EXPECT_LT(sum, 1.00001);
    EXPECT_GT(sum, 0.2);
  }
  for (size_t i = 0; i < seq.prompt_logprobs.size(); ++i) {
    EXPECT_EQ(seq.prompt_logprobs[i].chosen.token, seq.tokens[i + 1]);
    EXPECT_LE(seq.prompt_logprobs[i].chosen.logprob, seq.prompt_logprobs[i].top[0].logprob);
  }
}

TEST_P(ModelRunnerTest, TheSeedDecidesWhatIsSampled) {
  Machine m(GetParam());
  const std::vector<TokenId> prompt = m.prompt(20);
  std::vector<std::vector<TokenId>> texts;
  for (const uint64_t seed : {1, 1, 2, 3}) {
    DrivenSeq seq = make_seq(prompt, m.tables(1, 64)[0]);
    seq.temperature = 2;
    seq.seed = seed;
    run_alone(m.runner(), seq, 160, 16);
    texts.push_back(seq.generated());
  }
  EXPECT_EQ(texts[0], texts[1]);
  EXPECT_NE(texts[0], texts[2]);
  EXPECT_NE(texts[2], texts[3]);
}

std::vector<Case> cases() {
  TinyModel f16 = testing::tiny_qwen3();
  f16.dtype = "float16";
  return {
      {"qwen3_bf16", testing::tiny_qwen3(), "bfloat16"},
      {"qwen3_f32", testing::tiny_qwen3(), "float32"},
      {"qwen3_f16_auto", f16, "auto"},
      {"qwen2_bf16", testing::tiny_qwen2(), "bfloat16"},
      {"llama_bf16", testing::tiny_llama(), "auto"},
      {"llama_f32_kv_bf16", testing::tiny_llama(), "float32", "bfloat16"},
      {"mistral_bf16", testing::tiny_mistral(), "bfloat16"},
      {"mistral_bf16_kv_f32", testing::tiny_mistral(), "bfloat16", "float32"},
  };
}

INSTANTIATE_TEST_SUITE_P(Models, ModelRunnerTest, ::testing::ValuesIn(cases()),
                         [](const auto& param_info) { return param_info.param.name; });

// A row that is not a number says so, and only that row.
TEST(ModelRunner, NanGivesNoToken) {
  const Case c{"nan", testing::tiny_mistral(), "bfloat16"};
  std::vector<TinyTensor> tensors = testing::tiny_tensors(c.model);
  const TokenId poison = 7;
  for (int i = 0; i < c.model.hidden; ++i)
    tensors[0].values[static_cast<size_t>(poison * c.model.hidden + i)] =
        std::numeric_limits<float>::quiet_NaN();
  Machine m(c, tensors);
  const auto tables = m.tables(2, 32);
  DrivenSeq good = make_seq({1, 2, 3}, tables[0]);
  DrivenSeq bad = make_seq({1, 2, 3, poison, 4}, tables[1]);
  DrivenSeq alone = good;
  run_alone(m.runner(), alone, 160, 1);
  run_step_of(m.runner(), {&bad, &good}, {5, 3});
  EXPECT_EQ(bad.generated(), std::vector<TokenId>{-1});
  EXPECT_TRUE(std::isnan(bad.logprobs[0].chosen.logprob));
  EXPECT_TRUE(std::isnan(bad.prompt_logprobs[3].chosen.logprob));
  EXPECT_EQ(good.generated(), alone.generated());
  EXPECT_EQ(first_difference(good.logprobs, alone.logprobs), "");

  // What it left in its blocks harms nobody who gets them next.
  DrivenSeq next = make_seq({1, 2, 3}, tables[1]);
  run_alone(m.runner(), next, 2, 1);
  EXPECT_EQ(next.generated(), alone.generated());
  EXPECT_EQ(first_difference(next.logprobs, alone.logprobs), "");
}

TEST(ModelRunner, TheLargestStepFits) {
  Machine m({"largest", testing::tiny_qwen3(), "bfloat16"});
  constexpr int kSeqs = 16;
  const auto tables = m.tables(kSeqs, 16);
  std::vector<DrivenSeq> seqs;
  for (const auto& table : tables) {
    seqs.push_back(make_seq(m.prompt(kMaxTokens / kSeqs), table));
    seqs.back().top_n = kMaxLogprobs;
  }
  std::vector<DrivenSeq*> pointers;
  for (DrivenSeq& s : seqs) pointers.push_back(&s);
  run_step_of(m.runner(), pointers, std::vector<int>(kSeqs, kMaxTokens / kSeqs));
  for (const DrivenSeq& s : seqs) {
    EXPECT_EQ(s.generated().size(), 1U);
    EXPECT_EQ(s.prompt_logprobs.size(), 9U);
    EXPECT_EQ(s.prompt_logprobs.back().top.size(), static_cast<size_t>(kMaxLogprobs));
  }
}

TEST(ModelRunner, AStepThatWantsNoLogits) {
  Machine m({"quiet", testing::tiny_qwen3(), "bfloat16"});
  const std::vector<TokenId> prompt = m.prompt(50);
  DrivenSeq loud = make_seq(prompt, m.tables(1, 64)[0]);
  run_alone(m.runner(), loud, 160, 3);
  DrivenSeq quiet = make_seq(prompt, m.tables(1, 64)[0]);
  quiet.want_prompt_logprobs = false;
  run_step_of(m.runner(), {&quiet}, {49});
  EXPECT_TRUE(quiet.generated().empty());
  run_alone(m.runner(), quiet, 160, 3);
  EXPECT_EQ(quiet.generated(), loud.generated());
  EXPECT_EQ(first_difference(quiet.logprobs, loud.logprobs), "");
}

// Two steps of three sequences, launched before anything of the first is known: the second one's tokens come
// from the first on the device. One sequence changes its place, one is new, one was still in its prompt.
TEST(ModelRunner, PendingTokensComeFromTheStepBefore) {
  const Case c{"pending", testing::tiny_qwen3(), "bfloat16"};
  Machine m(c, testing::tiny_tensors(c.model), 2);
  EXPECT_EQ(m.runner().depth(), 2);
  const auto tables = m.tables(4, 64);
  std::vector<DrivenSeq> alone;
  std::vector<DrivenSeq> seqs;
  for (size_t i = 0; i < 4; ++i) {
    seqs.push_back(make_seq(m.prompt(10 + 3 * static_cast<int>(i)), tables[i]));
    seqs.back().temperature = i == 1 ? 1.5F : 0.0F;
    seqs.back().seed = 77 + i;
    seqs.back().want_prompt_logprobs = false;
    seqs.back().top_n = i == 2 ? -1 : 4;
    alone.push_back(seqs.back());
  }
  for (DrivenSeq& s : alone) run_alone(m.runner(), s, 160, 2);

  const auto add = [&](StepPlan& plan, size_t i, int first, const std::vector<TokenId>& tokens, bool sample) {
    ScheduledSeq& seq = plan.seqs.emplace_back();
    seq.id = {i};
    seq.num_computed_tokens = first;
    seq.num_tokens = static_cast<int>(tokens.size());
    seq.first_token = plan.num_tokens;
    seq.first_block = static_cast<int>(plan.block_ids.size());
    seq.num_blocks = static_cast<int>(tables[i].size());
    seq.sample = sample;
    seq.temperature = seqs[i].temperature;
    seq.seed = seqs[i].seed;
    seq.logprobs = seqs[i].top_n;
    plan.token_ids.insert(plan.token_ids.end(), tokens.begin(), tokens.end());
    plan.block_ids.insert(plan.block_ids.end(), tables[i].begin(), tables[i].end());
    plan.num_tokens += seq.num_tokens;
  };
  const std::vector<TokenId>& long_prompt = seqs[3].tokens;
  StepPlan first;
  add(first, 3, 0, {long_prompt.begin(), long_prompt.begin() + 5}, false);
  for (const size_t i : {0U, 1U, 2U}) add(first, i, 0, seqs[i].tokens, true);
  StepPlan second;
  for (const size_t i : {2U, 0U, 1U}) add(second, i, seqs[i].prompt_length, {kPendingToken}, true);
  add(second, 3, 5, {long_prompt.begin() + 5, long_prompt.end()}, true);
  m.runner().launch(first);
  m.runner().launch(second);
  StepResult result;
  m.runner().collect(result);
  for (const size_t i : {0U, 1U, 2U}) {
    ASSERT_EQ(result.seqs[i + 1].tokens.size(), 1U);
    EXPECT_EQ(result.seqs[i + 1].tokens[0], alone[i].generated()[0]);
  }
  EXPECT_TRUE(result.seqs[0].tokens.empty());
  m.runner().collect(result);
  const size_t order[] = {2, 0, 1, 3};
  for (size_t r = 0; r < 4; ++r) {
    const DrivenSeq& expected = alone[order[r]];
    const size_t at = order[r] == 3 ? 0 : 1;  // the last one has just begun
    EXPECT_EQ(result.seqs[r].tokens, StepTokens{expected.generated()[at]}) << order[r];
    if (expected.logprobs.empty()) continue;
    EXPECT_EQ(first_difference(result.seqs[r].logprobs, {expected.logprobs[at]}), "") << order[r];
  }
}

// A runner may go while steps are under way.
TEST(ModelRunner, EndsAfterTheStepsUnderWay) {
  const Case c{"ends", testing::tiny_qwen3(), "bfloat16"};
  Machine m(c, testing::tiny_tensors(c.model), 2);
  StepPlan plan;
  plan.seqs = {{.id = {1}, .num_tokens = 100, .num_blocks = 7, .sample = true}};
  plan.token_ids.assign(100, 3);
  for (int32_t b = 1; b <= 7; ++b) plan.block_ids.push_back(b);
  plan.num_tokens = 100;
  m.runner().launch(plan);
  m.runner().launch(plan);
  m.loaded->runner.reset();
}

TEST(ModelRunnerDeathTest, PendingTokensMustComeFromSomewhere) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Case c{"nowhere", testing::tiny_qwen3(), "bfloat16"};
  Machine m(c, testing::tiny_tensors(c.model), 2);
  const auto launch = [&](uint64_t id, const std::vector<TokenId>& tokens) {
    StepPlan plan;
    plan.seqs = {
        {.id = {id}, .num_tokens = static_cast<int>(tokens.size()), .num_blocks = 1, .sample = true}};
    plan.token_ids = tokens;
    plan.block_ids = {1};
    plan.num_tokens = static_cast<int>(tokens.size());
    m.runner().launch(plan);
  };
  EXPECT_DEATH(launch(1, {kPendingToken}), "1 tokens are pending, no step runs");
  EXPECT_DEATH((launch(1, {5, 6}), launch(2, {kPendingToken})), "the step before does not sample it");
  EXPECT_DEATH(launch(1, {kPendingToken, 4}), "outside the vocabulary");
  EXPECT_DEATH((launch(1, {5}), launch(2, {5}), launch(3, {5})), "2 launches were not collected");
}

TEST(ModelRunnerDeathTest, BrokenPlansAreBugs) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Machine m({"broken", testing::tiny_qwen3(), "bfloat16"});
  const auto launch = [&](const std::vector<TokenId>& tokens, const std::vector<int32_t>& blocks,
                          int num_tokens) {
    ScheduledSeq seq;
    seq.num_tokens = static_cast<int>(tokens.size());
    seq.num_blocks = static_cast<int>(blocks.size());
    StepPlan plan;
    plan.seqs = {seq};
    plan.token_ids = tokens;
    plan.block_ids = blocks;
    plan.num_tokens = num_tokens;
    m.runner().launch(plan);
  };
  EXPECT_DEATH(launch({1, 2}, {0}, 2), "block 0");
  EXPECT_DEATH(launch({1, 2}, {kBlocks}, 2), "block 97 of 97");
  EXPECT_DEATH(launch({1, 2}, {}, 2), "1 blocks needed");
  EXPECT_DEATH(launch({1, 2}, {1}, 3), "2 tokens, the plan says 3");
  EXPECT_DEATH(launch({1, 160}, {1}, 2), "outside the vocabulary");
  StepResult result;
  EXPECT_DEATH(m.runner().collect(result), "no step was launched");
}

}  // namespace
}  // namespace pegainfer

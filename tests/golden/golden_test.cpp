// The logits gate: teacher-forced log-probabilities against stored references of Hugging Face transformers.
// The tiny models are written by make_models.py before this runs (a CTest fixture).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <numeric>
#include <optional>
#include <tuple>

#include "base/check.h"
#include "reference.h"
#include "runner/model_loader.h"
#include "support/step_driver.h"

namespace pegainfer {
namespace {

using testing::Differences;
using testing::DrivenSeq;
using testing::Reference;
using testing::ReferencePrompt;

namespace fs = std::filesystem;

constexpr int kBlockSize = 16;
constexpr int kChunk = 96;  // shorter than the long prompts: they are scored in pieces

struct Subject {
  std::unique_ptr<Backend> backend;
  std::optional<LoadedModel> loaded;

  Subject(const std::string& path, const std::string& dtype) {
    backend = *create_backend({.device = "cpu", .check = true});
    const auto checkpoint = Checkpoint::open(path, {});
    CHECK(checkpoint.has_value(), "{}", checkpoint ? "" : checkpoint.error().message);
    auto result = load_model(*backend, *checkpoint,
                             {.dtype = dtype,
                              .max_model_len = std::min(1024, checkpoint->config->max_position_embeddings),
                              .max_num_seqs = 4,
                              .max_num_batched_tokens = kChunk,
                              .block_size = kBlockSize},
                             {});
    CHECK(result.has_value(), "{}", result ? "" : result.error().message);
    loaded.emplace(*std::move(result));
  }

  // ids, scored; then `more` tokens, greedily.
  DrivenSeq run(const std::vector<TokenId>& ids, int more) {
    std::vector<int32_t> blocks((ids.size() + static_cast<size_t>(more)) / kBlockSize + 1);
    std::iota(blocks.begin(), blocks.end(), 1);
    DrivenSeq seq = testing::make_seq(ids, blocks);
    seq.top_n = 1;
    testing::run_alone(*loaded->runner, seq, kChunk, more);
    return seq;
  }
};

struct Measured {
  Differences from_f32;
  Differences from_bf16;
  Differences
      regret;  // how much less likely than the best token the F32 run holds our argmax, at each greedy step
};

// What the F32 run gives up when `token` is taken instead of its best; a token outside its top five counts as
// the fifth.
double regret_of(const std::vector<std::pair<TokenId, double>>& top, TokenId token) {
  for (const auto& [id, logprob] : top)
    if (id == token) return top[0].second - logprob;
  return top[0].second - top.back().second;
}

Measured score(Subject& subject, const Reference& reference) {
  Measured out;
  for (const ReferencePrompt& p : reference.prompts) {
    std::vector<TokenId> ids = p.ids;
    ids.insert(ids.end(), p.greedy.ids.begin(), p.greedy.ids.end());
    const DrivenSeq seq = subject.run(ids, 1);
    CHECK(seq.prompt_logprobs.size() + 1 == ids.size(), "{} of {}", seq.prompt_logprobs.size(), ids.size());
    for (size_t i = 0; i < seq.prompt_logprobs.size(); ++i) {
      const bool in_prompt = i + 1 < p.ids.size();
      const size_t at = in_prompt ? i : i + 1 - p.ids.size();
      out.from_f32.add(seq.prompt_logprobs[i].chosen.logprob, in_prompt ? p.f32[at] : p.greedy.f32[at]);
      out.from_bf16.add(seq.prompt_logprobs[i].chosen.logprob, in_prompt ? p.bf16[at] : p.greedy.bf16[at]);
      if (!in_prompt) out.regret.add(regret_of(p.greedy.top5[at], seq.prompt_logprobs[i].top.at(0).token), 0);
    }
  }
  return out;
}

void print(const std::string& name, const Reference& reference, const Measured& m) {
  std::cout << fmt::format(
      "[ figures  ] {}: from F32: {}; from BF16: {}; regret: mean {:.5f}, max {:.5f}; reference "
      "BF16 from F32: mean {:.5f}, p99 {:.5f}\n",
      name, m.from_f32.text(), m.from_bf16.text(), m.regret.mean(), m.regret.max(), reference.drift_mean,
      reference.drift_p99);
}

// F32 arithmetic against F32 arithmetic: only the order of sums differs.
void expect_exact(const Measured& m) {
  EXPECT_LE(m.from_f32.mean(), 1e-4);
  EXPECT_LE(m.from_f32.max(), 1e-3);
  EXPECT_LE(m.regret.max(), 1e-3);
}

// Free-running greedy text is the reference's for as long as no two tokens are nearly as likely.
void expect_greedy(Subject& subject, const Reference& reference, double margin) {
  for (const ReferencePrompt& p : reference.prompts) {
    if (p.greedy.ids.empty()) continue;
    const std::vector<TokenId> text = subject.run(p.ids, static_cast<int>(p.greedy.ids.size())).generated();
    for (size_t i = 0; i < text.size(); ++i) {
      if (p.greedy.margin[i] < margin) break;
      ASSERT_EQ(text[i], p.greedy.ids[i]) << "token " << i << " after a prompt of " << p.ids.size();
    }
  }
}

class TinyGolden : public ::testing::TestWithParam<std::string> {
 protected:
  [[nodiscard]] Reference reference() const {
    return *testing::read_reference(PEGA_SOURCE_DIR "/tests/golden/tiny-" + GetParam() + ".json");
  }
  [[nodiscard]] std::string model(const std::string& file) const {
    return fs::path(PEGA_GOLDEN_MODELS) / GetParam() / file;
  }
};

TEST_P(TinyGolden, Float32) {
  Subject subject(model("f32"), "auto");
  EXPECT_EQ(subject.loaded->arithmetic, DType::kF32);
  const Measured m = score(subject, reference());
  print(GetParam() + " f32", reference(), m);
  expect_exact(m);
  expect_greedy(subject, reference(), 1e-3);
}

TEST_P(TinyGolden, Bfloat16WeightsInFloat32) {
  Subject subject(model("bf16"), "float32");
  expect_exact(score(subject, reference()));
}

TEST_P(TinyGolden, Gguf) {
  if (!fs::exists(model("f32.gguf"))) GTEST_SKIP() << "GGUF has no sliding window";
  Subject subject(model("f32.gguf"), "auto");
  EXPECT_EQ(subject.loaded->arithmetic, DType::kF32);
  const Measured m = score(subject, reference());
  print(GetParam() + " gguf", reference(), m);
  expect_exact(m);
}

// Two runs in BF16 that round at the same places differ by the order of their sums. Where a model is so
// sensitive that the reference's own BF16 run is further from its F32 run than the gate, that distance is the
// gate. The 99th percentile of some 600 values is known to a tenth or two, and gets that much slack; the mean
// gets none.
constexpr double kQuantileSlack = 1.2;

TEST_P(TinyGolden, Bfloat16) {
  const Reference r = reference();
  Subject subject(model("bf16"), "auto");
  EXPECT_EQ(subject.loaded->arithmetic, DType::kBF16);
  const Measured m = score(subject, r);
  print(GetParam() + " bf16", r, m);
  const double mean_gate = std::max(0.03, r.drift_mean);
  const double p99_gate = kQuantileSlack * std::max(0.12, r.drift_p99);
  EXPECT_LE(m.from_bf16.mean(), mean_gate);
  EXPECT_LE(m.from_bf16.quantile(0.99), p99_gate);
  EXPECT_LE(m.from_f32.mean(), mean_gate);  // no further from the truth than the reference is
  EXPECT_LE(m.from_f32.quantile(0.99), p99_gate);
  EXPECT_LE(m.regret.mean(), 0.01);
  EXPECT_LE(m.regret.max(), 2 * p99_gate);
}

// A quantized file computes what its dequantized values compute. Both arithmetics; merged matrices whose
// parts are of different formats; heads whose rows GGUF permutes.
class QuantizedTwin : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(QuantizedTwin, ComputesWhatItsValuesCompute) {
  const auto& [variant, format] = GetParam();
  const fs::path models = fs::path(PEGA_GOLDEN_MODELS) / variant;
  const Reference r = *testing::read_reference(PEGA_SOURCE_DIR "/tests/golden/tiny-" + variant + ".json");
  Subject twin(models / format, "auto");
  Subject exact(models / (format + ".gguf"), "float32");
  Subject rounded(models / (format + ".gguf"), "auto");
  EXPECT_EQ(rounded.loaded->arithmetic, DType::kBF16);
  Differences f32;
  Differences bf16;
  for (const ReferencePrompt& p : r.prompts) {
    const DrivenSeq expected = twin.run(p.ids, 1);
    const DrivenSeq a = exact.run(p.ids, 1);
    const DrivenSeq b = rounded.run(p.ids, 1);
    for (size_t i = 0; i < expected.prompt_logprobs.size(); ++i) {
      const double value = expected.prompt_logprobs[i].chosen.logprob;
      f32.add(a.prompt_logprobs[i].chosen.logprob, value);
      bf16.add(b.prompt_logprobs[i].chosen.logprob, value);
    }
  }
  std::cout << fmt::format("[ figures  ] {} {}: float32 from twin: {}; bfloat16 from twin: {}\n", variant,
                           format, f32.text(), bf16.text());
  EXPECT_GT(f32.count(), 400U);
  EXPECT_LE(f32.max(), 1e-3);
  // The drift is that of the variant's own values; this is another model of its kind.
  EXPECT_LE(bf16.mean(), 1.25 * std::max(0.03, r.drift_mean));
  EXPECT_LE(bf16.quantile(0.99), 1.25 * kQuantileSlack * std::max(0.12, r.drift_p99));
}

INSTANTIATE_TEST_SUITE_P(Models, QuantizedTwin,
                         ::testing::Combine(::testing::Values("qwen3", "smollm2"),
                                            ::testing::Values("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0",
                                                              "mixed")),
                         [](const auto& param_info) {
                           return std::get<0>(param_info.param) + "_" + std::get<1>(param_info.param);
                         });

std::vector<std::string> variants() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(PEGA_SOURCE_DIR "/tests/golden")) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("tiny-") && name.ends_with(".json")) out.push_back(name.substr(5, name.size() - 10));
  }
  std::sort(out.begin(), out.end());
  return out;
}

INSTANTIATE_TEST_SUITE_P(Models, TinyGolden, ::testing::ValuesIn(variants()), [](const auto& param_info) {
  std::string name = param_info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

class DefaultModel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(PEGA_DEFAULT_MODEL)) GTEST_SKIP() << "no " PEGA_DEFAULT_MODEL "; `make model` gets it";
  }
  Reference reference_ =
      *testing::read_reference(PEGA_SOURCE_DIR "/tests/golden/smollm2-135m-instruct-q4_1.json");
};

// Quantized weights in BF16 arithmetic, against F32 arithmetic on the dequantized weights.
TEST_F(DefaultModel, Quantized) {
  Subject subject(PEGA_DEFAULT_MODEL, "auto");
  EXPECT_EQ(subject.loaded->arithmetic, DType::kBF16);
  const Measured m = score(subject, reference_);
  print("default model bf16", reference_, m);
  EXPECT_LE(m.from_f32.mean(), 0.06);
  EXPECT_LE(m.from_f32.quantile(0.99), 0.30);
  EXPECT_LE(m.regret.mean(), 0.02);
}

// Resident memory, in bytes: what the process holds and the most it ever held.
size_t resident(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stoul(line.substr(line.find(':') + 1)) * 1024;
  return 0;
}

TEST_F(DefaultModel, LoadingHoldsTheWeightsOnce) {
  const size_t before = resident("VmRSS");
  const auto backend = *create_backend({.device = "cpu"});
  const auto checkpoint = Checkpoint::open(PEGA_DEFAULT_MODEL, {});
  ASSERT_TRUE(checkpoint);
  const auto loaded = load_model(*backend, *checkpoint, {}, {});
  ASSERT_TRUE(loaded) << loaded.error().message;
  const size_t after = resident("VmRSS");
  std::cout << fmt::format("[ figures  ] {}; resident: {} before, {} after loading\n",
                           loaded->memory.describe(), human_bytes(before), human_bytes(after));
  // The KV cache is not touched by loading.
  EXPECT_LE(after - before, loaded->memory.weights_bytes * 11 / 10 + 60'000'000);
  EXPECT_LE(loaded->memory.weights_bytes, fs::file_size(PEGA_DEFAULT_MODEL) * 101 / 100);
}

TEST_F(DefaultModel, QuantizedInFloat32) {
  Subject subject(PEGA_DEFAULT_MODEL, "float32");
  const Measured m = score(subject, reference_);
  print("default model f32", reference_, m);
  EXPECT_LE(m.from_f32.mean(), 1e-3);
  EXPECT_LE(m.from_f32.max(), 2e-2);
  expect_greedy(subject, reference_, 1e-2);
}

}  // namespace
}  // namespace pegainfer

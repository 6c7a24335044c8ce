// A model directory on disk, loaded and run: everything from the name to the tokens, on the CPU.
#include "engine/load_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "base/log.h"
#include "support/byte_tokenizer_json.h"
#include "support/tiny_model.h"

namespace pegainfer {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr TokenId kEnd = 256;

class LoadEngine : public ::testing::Test {
 protected:
  LoadEngine() {
    set_log_level(LogLevel::kOff);
    model_ = testing::tiny_qwen3();
    model_.vocab = 260;
    directory_ = temp_.path() / "Tiny-Qwen3";
    testing::write_model(model_, testing::tiny_tensors(model_), directory_);
    testing::write_byte_tokenizer(directory_, {"<|end|>"});
    std::ofstream(directory_ / "generation_config.json")
        << R"({"eos_token_id": 256, "temperature": 0.7, "top_k": 20})";
  }
  ~LoadEngine() override { set_log_level(LogLevel::kInfo); }

  [[nodiscard]] EngineOptions options() const {
    EngineOptions o;
    o.model = directory_.string();
    o.check_ops = true;
    o.kv_cache_memory_bytes = size_t{8} << 20U;
    return o;
  }
  Result<LoadedEngine> load(const EngineOptions& o) { return load_engine(o, {}); }

  testing::TempDir temp_;
  testing::TinyModel model_;
  fs::path directory_;
};

struct Answer {
  std::vector<TokenId> tokens;
  std::vector<PositionLogprobs> logprobs;
  std::vector<PositionLogprobs> prompt_logprobs;
  Finish finish;
};

std::future<Answer> ask(Engine& engine, std::vector<TokenId> prompt, const SamplingParams& sampling) {
  auto done = std::make_shared<std::promise<Answer>>();
  auto answer = std::make_shared<Answer>();
  auto future = done->get_future();
  const auto id = engine.submit({std::move(prompt), sampling, [done, answer](TokenEvent e) {
                                   for (const TokenId t : e.tokens) answer->tokens.push_back(t);
                                   for (auto& l : e.logprobs) answer->logprobs.push_back(std::move(l));
                                   for (auto& l : e.prompt_logprobs)
                                     answer->prompt_logprobs.push_back(std::move(l));
                                   if (!e.finish) return;
                                   answer->finish = *std::move(e.finish);
                                   done->set_value(std::move(*answer));
                                 }});
  EXPECT_TRUE(id);
  return future;
}

void expect_equal(const std::vector<PositionLogprobs>& a, const std::vector<PositionLogprobs>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].chosen.token, b[i].chosen.token);
    EXPECT_EQ(a[i].chosen.logprob, b[i].chosen.logprob);  // bit for bit
    ASSERT_EQ(a[i].top.size(), b[i].top.size());
    for (size_t j = 0; j < a[i].top.size(); ++j) {
      EXPECT_EQ(a[i].top[j].token, b[i].top[j].token);
      EXPECT_EQ(a[i].top[j].logprob, b[i].top[j].logprob);
    }
  }
}

TEST_F(LoadEngine, LoadsAndAnswers) {
  std::vector<EngineLoadProgress> reports;
  auto loaded = load_engine(options(), [&](const EngineLoadProgress& p) { reports.push_back(p); });
  ASSERT_TRUE(loaded) << loaded.error().message;
  const EngineInfo& info = loaded->engine->info();
  EXPECT_EQ(info.model_name, "Tiny-Qwen3");
  EXPECT_EQ(info.architecture, "Qwen3ForCausalLM");
  EXPECT_EQ(info.dtype, "bfloat16");
  EXPECT_EQ(info.vocab_size, 260);
  EXPECT_EQ(info.max_model_len, 256);
  EXPECT_EQ(info.block_size, 16);
  EXPECT_EQ(info.num_kv_blocks, loaded->memory.num_blocks);
  EXPECT_EQ(info.eos_token_ids, std::vector<TokenId>{kEnd});
  EXPECT_EQ(loaded->generation.temperature, 0.7);
  EXPECT_EQ(loaded->generation.top_k, 20);
  EXPECT_GT(loaded->load_seconds, 0);

  EXPECT_EQ(reports.front().phase, LoadPhase::kOpening);
  EXPECT_EQ(reports.back().phase, LoadPhase::kStarting);
  uint64_t done = 0;
  uint64_t total = 0;
  for (const EngineLoadProgress& p : reports) {
    if (p.phase != LoadPhase::kWeights) continue;
    EXPECT_GE(p.bytes_done, done);
    done = p.bytes_done;
    total = p.bytes_total;
  }
  EXPECT_GT(total, 0U);
  EXPECT_EQ(done, total);

  SamplingParams p;
  p.temperature = 0;
  p.max_tokens = 8;
  p.ignore_eos = true;
  const auto prompt = loaded->tokenizer->encode("Hello<|end|>");
  ASSERT_EQ(prompt.size(), 6U);
  EXPECT_EQ(prompt.back(), kEnd);
  const Answer answer = ask(*loaded->engine, prompt, p).get();
  EXPECT_EQ(answer.tokens.size(), 8U);
  EXPECT_EQ(answer.finish.usage.prompt_tokens, 6);
  EXPECT_EQ(answer.finish.reason, FinishReason::kLength);
}

// The whole of the engine on a real model: neither neighbours nor chunks nor repetition change a bit.
TEST_F(LoadEngine, BatchesAndChunksDoNotChangeABit) {
  struct Request {
    std::vector<TokenId> prompt;
    SamplingParams sampling;
  };
  std::vector<Request> requests;
  for (int i = 0; i < 12; ++i) {
    Request r;
    for (int j = 0; j < 5 + 13 * i; ++j) r.prompt.push_back((j * 7 + i * 31) % 256);
    r.sampling.temperature = i % 3 == 0 ? 0.0F : 1.0F;
    r.sampling.seed = static_cast<uint64_t>(i);
    r.sampling.max_tokens = i == 5 ? 0 : 12 + i;
    r.sampling.ignore_eos = true;
    r.sampling.logprobs = 2;
    r.sampling.prompt_logprobs = 1;
    if (i % 2 == 0) r.sampling.top_p = 0.9F;
    requests.push_back(std::move(r));
  }
  std::vector<Answer> alone;
  {
    const auto loaded = load(options());
    ASSERT_TRUE(loaded) << loaded.error().message;
    for (const Request& r : requests) alone.push_back(ask(*loaded->engine, r.prompt, r.sampling).get());
  }
  for (const int budget : {512, 16, 37}) {
    EngineOptions o = options();
    o.max_num_batched_tokens = budget;
    o.max_num_seqs = 8;
    const auto loaded = load(o);
    ASSERT_TRUE(loaded) << loaded.error().message;
    std::vector<std::future<Answer>> together;
    for (const Request& r : requests) together.push_back(ask(*loaded->engine, r.prompt, r.sampling));
    for (size_t i = 0; i < requests.size(); ++i) {
      const Answer a = together[i].get();
      EXPECT_EQ(a.tokens, alone[i].tokens) << "request " << i << ", budget " << budget;
      EXPECT_EQ(a.prompt_logprobs.size(), requests[i].prompt.size() - 1);
      expect_equal(a.logprobs, alone[i].logprobs);
      expect_equal(a.prompt_logprobs, alone[i].prompt_logprobs);
    }
    EXPECT_EQ(loaded->engine->stats().num_free_blocks, loaded->engine->stats().num_total_blocks);
  }
}

TEST_F(LoadEngine, OptionsReachTheEngine) {
  EngineOptions o = options();
  o.served_model_name = "mine";
  o.max_model_len = 64;
  o.dtype = "float32";
  o.kv_cache_memory_bytes = 0;
  o.num_kv_blocks = 9;
  o.threads = 1;
  const auto loaded = load(o);
  ASSERT_TRUE(loaded) << loaded.error().message;
  const EngineInfo& info = loaded->engine->info();
  EXPECT_EQ(info.model_name, "mine");
  EXPECT_EQ(info.max_model_len, 64);
  EXPECT_EQ(info.dtype, "float32");
  EXPECT_EQ(info.num_kv_blocks, 9);
  EXPECT_EQ(loaded->engine->stats().num_total_blocks, 8);
}

TEST_F(LoadEngine, OverlapQueueAndCacheAreOptions) {
  EngineOptions o = options();
  const auto usual = load(o);
  ASSERT_TRUE(usual);
  EXPECT_EQ(usual->model.options.depth, 1);  // it does not pay on the CPU
  SamplingParams p;
  p.temperature = 0;
  p.max_tokens = 20;
  p.ignore_eos = true;
  const std::vector<TokenId> prompt(40, 65);
  const Answer cold = ask(*usual->engine, prompt, p).get();
  EXPECT_EQ(ask(*usual->engine, prompt, p).get().finish.usage.cached_tokens, 32);

  o.async_scheduling = true;
  o.enable_prefix_caching = false;
  o.max_num_seqs = 1;
  o.max_queued_requests = 1;
  o.max_queued_tokens = 50;
  const auto loaded = load(o);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->model.options.depth, 2);
  for (int i = 0; i < 2; ++i) {
    const Answer answer = ask(*loaded->engine, prompt, p).get();
    EXPECT_EQ(answer.tokens, cold.tokens);
    EXPECT_EQ(answer.finish.usage.cached_tokens, 0);
  }
  auto first = loaded->engine->reserve(40);
  ASSERT_TRUE(first);
  const auto tokens = loaded->engine->reserve(40);
  ASSERT_FALSE(tokens);
  EXPECT_THAT(tokens.error().message, HasSubstr("no more than 50 may"));
  (*first)->start();
  const auto second = loaded->engine->reserve(10);
  const auto third = loaded->engine->reserve(10);
  ASSERT_TRUE(second);
  ASSERT_FALSE(third);
  EXPECT_THAT(third.error().message, HasSubstr("no more than 1 may wait"));
}

TEST_F(LoadEngine, ErrorsNameWhatIsWrong) {
  const auto message = [&](const EngineOptions& o) {
    const auto loaded = load(o);
    EXPECT_FALSE(loaded);
    return loaded ? std::string() : loaded.error().message;
  };
  EngineOptions o = options();
  o.model = (temp_.path() / "nowhere").string();
  EXPECT_THAT(message(o), HasSubstr("nowhere"));
  o = options();
  o.max_num_seqs = 100;
  o.max_num_batched_tokens = 64;
  EXPECT_THAT(message(o), AllOf(HasSubstr("--max-num-seqs is 100"), HasSubstr("64")));
  o = options();
  o.max_num_batched_tokens = -1;
  EXPECT_THAT(message(o), HasSubstr("--max-num-batched-tokens is -1"));
  o = options();
  o.max_model_len = 257;
  EXPECT_THAT(message(o), AllOf(HasSubstr("--max-model-len is 257"), HasSubstr("256")));
  o = options();
  o.dtype = "float8";
  EXPECT_THAT(message(o), HasSubstr("float8"));
  o = options();
  o.device = "tpu";
  EXPECT_THAT(message(o), HasSubstr("tpu"));
  o = options();
  o.kv_cache_memory_bytes = 0;
  o.num_kv_blocks = 3;
  EXPECT_THAT(message(o), HasSubstr("3 blocks"));
  fs::remove(directory_ / "tokenizer.json");
  EXPECT_THAT(message(options()), HasSubstr("no tokenizer.json"));
  std::ofstream(directory_ / "tokenizer.json") << "{";
  EXPECT_THAT(message(options()), HasSubstr("tokenizer.json"));
}

std::vector<TokenId> greedy(const LoadedEngine& loaded) {
  SamplingParams p;
  p.temperature = 0;
  p.max_tokens = 12;
  p.ignore_eos = true;
  return ask(*loaded.engine, {1, 2, 3}, p).get().tokens;
}

TEST_F(LoadEngine, MadeUpWeightsNeedAConfigurationAlone) {
  model_.tied = false;  // a tied head would only repeat the last token
  testing::write_model(model_, testing::tiny_tensors(model_), directory_);
  for (const char* name : {"model.safetensors", "tokenizer.json", "generation_config.json"})
    fs::remove(directory_ / name);
  EngineOptions o = options();
  o.load_format = "dummy";
  const auto loaded = load(o);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->engine->info().dtype, "bfloat16");
  EXPECT_EQ(loaded->tokenizer->encode("Hi"), (std::vector<TokenId>{'H', 'i'}));
  const std::vector<TokenId> tokens = greedy(*loaded);
  EXPECT_EQ(tokens.size(), 12U);
  o.threads = 1;  // whoever computes them, they are the same
  EXPECT_EQ(greedy(*load(o)), tokens);
  o.dummy_seed = 1;
  EXPECT_NE(greedy(*load(o)), tokens);
}

TEST_F(LoadEngine, MadeUpWeightsKeepTheTokenizerAndIgnoreTheFiles) {
  std::ofstream(directory_ / "model.safetensors") << "not even a header";
  EngineOptions o = options();
  EXPECT_FALSE(load(o));
  o.load_format = "dummy";
  const auto loaded = load(o);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->tokenizer->encode("a<|end|>"), (std::vector<TokenId>{'a', kEnd}));
  EXPECT_EQ(loaded->engine->info().eos_token_ids, std::vector<TokenId>{kEnd});
}

TEST_F(LoadEngine, MadeUpWeightsRefuseWhatHasNoConfiguration) {
  const auto refusal = [&](const std::string& model) {
    EngineOptions o = options();
    o.model = model;
    o.load_format = "dummy";
    const auto loaded = load(o);
    EXPECT_FALSE(loaded) << model;
    return loaded ? std::string() : loaded.error().message;
  };
  const fs::path gguf = temp_.path() / "only" / "model.gguf";
  fs::create_directories(gguf.parent_path());
  std::ofstream(gguf) << "GGUF";
  for (const std::string& path : {gguf.string(), gguf.parent_path().string()})
    EXPECT_THAT(refusal(path), AllOf(HasSubstr("--load-format dummy"), HasSubstr("model.gguf: a GGUF file"),
                                     HasSubstr("config.json")));
  fs::remove(directory_ / "config.json");
  EXPECT_THAT(refusal(directory_.string()), HasSubstr("Tiny-Qwen3: no config.json"));
  EngineOptions o = options();
  o.load_format = "pickle";
  EXPECT_THAT(load(o).error().message, HasSubstr("--load-format is 'pickle', must be auto or dummy"));
}

TEST(DefaultModelName, LastPartOfAPathOrTheHubName) {
  const testing::TempDir temp;
  fs::create_directories(temp.path() / "org" / "Model-1.5B");
  EXPECT_EQ(default_model_name((temp.path() / "org" / "Model-1.5B").string()), "Model-1.5B");
  EXPECT_EQ(default_model_name((temp.path() / "org" / "Model-1.5B").string() + "/"), "Model-1.5B");
  EXPECT_EQ(default_model_name("models/Smol.Q4_1.gguf"), "Smol.Q4_1");
  EXPECT_EQ(default_model_name("org-of-nobody/Model"), "org-of-nobody/Model");
}

}  // namespace
}  // namespace pegainfer

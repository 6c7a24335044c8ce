#include "apps/generation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <thread>

#include "apps/interrupts.h"
#include "apps/sampling_defaults.h"
#include "base/json.h"
#include "base/log.h"
#include "support/fake_engine.h"
#include "support/fake_tokenizer.h"

namespace pegainfer::apps {
namespace {

using pegainfer::testing::FakeEngine;
using pegainfer::testing::FakeTokenizer;

GenerationRequest request_for(std::vector<std::string> stop = {}) {
  GenerationRequest request;
  request.prompt = {'h', 'i'};
  request.sampling.max_tokens = 100;
  request.text.stop = std::move(stop);
  return request;
}

TEST(Generation, TextArrivesInPiecesThatMakeTheWhole) {
  FakeEngine engine(
      {.script = [](const GenerateRequest&) { return testing::text_script("caf\xc3\xa9 STOP x"); }});
  const FakeTokenizer tokenizer;
  std::string streamed;
  const auto out =
      run_generation(engine, tokenizer, request_for({"STOP"}), [&](std::string_view t) { streamed += t; });
  ASSERT_TRUE(out);
  EXPECT_EQ(out->text, "caf\xc3\xa9 ");
  EXPECT_EQ(streamed, out->text);
  EXPECT_EQ(out->stop_string, "STOP");
  EXPECT_EQ(out->finish.reason, FinishReason::kStop);
  EXPECT_FALSE(out->interrupted);
  EXPECT_TRUE(engine.wait_idle());
}

TEST(Generation, JsonHasEveryFieldOfTheContract) {
  FakeEngine engine({.script = [](const GenerateRequest&) { return testing::text_script("ab\n"); }});
  const FakeTokenizer tokenizer;
  const auto out = run_generation(engine, tokenizer, request_for(), nullptr);
  ASSERT_TRUE(out);
  const std::string text = generation_json(*out, 0.25);
  EXPECT_TRUE(text.ends_with("}\n"));
  const auto parsed = json::parse(std::string_view(text).substr(0, text.size() - 1));
  ASSERT_TRUE(parsed) << text;
  const auto& object = parsed->as_object();
  EXPECT_EQ(object.at("text").as_string(), "ab\n");
  EXPECT_EQ(json::dump(object.at("token_ids")), "[97,98,10]");
  EXPECT_EQ(json::dump(object.at("prompt_token_ids")), "[104,105]");
  EXPECT_EQ(object.at("finish_reason").as_string(), "stop");
  EXPECT_DOUBLE_EQ(object.at("load_ms").to_number<double>(), 250);
  const auto& timings = object.at("timings").as_object();
  for (const char* name :
       {"prompt_n", "prompt_ms", "prompt_per_second", "predicted_n", "predicted_ms", "predicted_per_second"})
    EXPECT_TRUE(timings.contains(name)) << name;
  EXPECT_EQ(timings.at("prompt_n").to_number<int>(), 2);
  EXPECT_EQ(timings.at("predicted_n").to_number<int>(), 3);
}

TEST(Generation, EngineErrorsAreErrors) {
  FakeEngine engine({.script = [](const GenerateRequest&) {
    auto script = testing::text_script("a");
    script.finish = FinishReason::kError;
    script.message = "broken";
    return script;
  }});
  const FakeTokenizer tokenizer;
  const auto out = run_generation(engine, tokenizer, request_for(), nullptr);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().message, "broken");
  engine.refuse_submits(invalid_argument("too long"));
  EXPECT_EQ(run_generation(engine, tokenizer, request_for(), nullptr).error().message, "too long");
}

TEST(Generation, InterruptEndsItWithWhatThereIs) {
  block_interrupts();
  FakeEngine engine(
      {.script = [](const GenerateRequest&) { return testing::text_script(std::string(1000, 'x')); },
       .manual = true});
  const FakeTokenizer tokenizer;
  std::jthread other([&] {
    EXPECT_TRUE(engine.wait_submitted(1));
    engine.step(3);
    ::kill(::getpid(), SIGINT);
  });
  const auto out = run_generation(engine, tokenizer, request_for(), nullptr);
  ASSERT_TRUE(out);
  EXPECT_TRUE(out->interrupted);
  EXPECT_EQ(out->text, "xxx");
  EXPECT_THAT(generation_json(*out, 0), ::testing::HasSubstr(R"("finish_reason":"cancelled")"));
}

TEST(SamplingDefaults, AreTheModels) {
  set_log_level(LogLevel::kOff);
  GenerationDefaults generation;
  generation.temperature = 0.6;
  generation.top_k = 20;
  generation.repetition_penalty = 1.1;
  const auto defaults = sampling_defaults(generation);
  EXPECT_EQ(defaults.temperature, 0.6);
  EXPECT_EQ(defaults.top_k, 20);
  EXPECT_EQ(defaults.repetition_penalty, 1.1);
  EXPECT_FALSE(defaults.top_p || defaults.min_p);
  generation.repetition_penalty = 0;  // no request could be served with it
  EXPECT_FALSE(sampling_defaults(generation).repetition_penalty);
}

}  // namespace
}  // namespace pegainfer::apps

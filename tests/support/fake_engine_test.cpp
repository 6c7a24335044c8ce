#include "support/fake_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <memory>

#include "support/fake_tokenizer.h"

namespace pegainfer::testing {
namespace {

using ::testing::HasSubstr;

// Collects the events of one request; get() waits for its finish.
struct Collector {
  std::shared_ptr<std::vector<TokenEvent>> events = std::make_shared<std::vector<TokenEvent>>();
  std::shared_ptr<std::promise<void>> done = std::make_shared<std::promise<void>>();
  TokenSink sink() const {
    return [events = events, done = done](TokenEvent event) {
      const bool last = event.finish.has_value();
      events->push_back(std::move(event));
      if (last) done->set_value();
    };
  }
  const std::vector<TokenEvent>& get() const {
    EXPECT_EQ(done->get_future().wait_for(std::chrono::seconds(10)), std::future_status::ready);
    return *events;
  }
};

std::string text_of(const std::vector<TokenEvent>& events) {
  std::vector<TokenId> ids;
  for (const TokenEvent& e : events) ids.insert(ids.end(), e.tokens.begin(), e.tokens.end());
  return FakeTokenizer().decode(ids, true);
}

SamplingParams with_max_tokens(int n) {
  SamplingParams p;
  p.max_tokens = n;
  return p;
}

TEST(FakeTokenizer, SpecialTokensOfUntrustedTextAreBytes) {
  const std::string text = "<|eos|>a<|eos|>";
  const std::vector<TextSpan> untrusted{{0, 1}};
  const std::vector<TokenId> ids = FakeTokenizer().encode(text, {.untrusted = untrusted});
  EXPECT_EQ(std::count(ids.begin(), ids.end(), FakeTokenizer::kEos), 1);
  EXPECT_EQ(ids.back(), FakeTokenizer::kEos);
}

TEST(FakeEngine, DeliversTheScriptAndOneFinish) {
  FakeEngine engine;
  const Collector c;
  ASSERT_TRUE(engine.submit({{1, 2, 3}, with_max_tokens(100), c.sink()}));
  const auto& events = c.get();
  EXPECT_EQ(text_of(events), "Hello from the fake engine.");
  EXPECT_EQ(events.back().finish->reason, FinishReason::kStop);
  EXPECT_EQ(events.back().finish->usage.completion_tokens, 28);
  EXPECT_EQ(events.back().finish->usage.prompt_tokens, 3);
}

TEST(FakeEngine, StopsAtMaxTokensAndReportsLogprobs) {
  FakeEngine engine;
  const Collector c;
  SamplingParams p = with_max_tokens(2);
  p.logprobs = 2;
  p.prompt_logprobs = 0;
  ASSERT_TRUE(engine.submit({{7, 8}, p, c.sink()}));
  const auto& events = c.get();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events.back().finish->reason, FinishReason::kLength);
  ASSERT_EQ(events[0].prompt_logprobs.size(), 1U);
  EXPECT_EQ(events[0].prompt_logprobs[0].chosen.token, 8);
  ASSERT_EQ(events[1].logprobs.size(), 1U);
  EXPECT_EQ(events[1].logprobs[0].chosen.token, 'e');
  EXPECT_EQ(events[1].logprobs[0].top.size(), 2U);
}

TEST(FakeEngine, ManualStepsCancelAndRefusal) {
  FakeEngine engine({.manual = true});
  const Collector c;
  const auto id = engine.submit({{1}, with_max_tokens(100), c.sink()});
  ASSERT_TRUE(id);
  EXPECT_EQ(engine.stats().num_running, 1);
  engine.step(3);
  EXPECT_EQ(text_of(*c.events), "Hel");
  engine.cancel(*id);
  EXPECT_EQ(c.get().back().finish->reason, FinishReason::kCancelled);
  ASSERT_TRUE(engine.wait_cancelled(1));
  EXPECT_TRUE(engine.wait_idle());

  engine.refuse_submits(resource_exhausted("queue full"));
  const auto refused = engine.submit({{1}, {}, c.sink()});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kResourceExhausted);
}

TEST(FakeEngine, RefusesWhatTheRealOneRefuses) {
  FakeEngine engine;
  const auto r = engine.submit({std::vector<TokenId>(2048, 1), with_max_tokens(1), [](const TokenEvent&) {}});
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().type, "context_length_exceeded");
  EXPECT_THAT(r.error().message, HasSubstr("maximum context length is 2048 tokens"));
}

TEST(FakeEngine, KillAndShutdownEndEverything) {
  FakeEngine engine({.manual = true});
  const Collector killed;
  ASSERT_TRUE(engine.submit({{1}, {}, killed.sink()}));
  engine.kill("step failed");
  EXPECT_EQ(killed.get().back().finish->reason, FinishReason::kError);
  EXPECT_FALSE(engine.stats().healthy);

  FakeEngine other({.manual = true});
  const Collector left;
  ASSERT_TRUE(other.submit({{1}, {}, left.sink()}));
  other.shutdown(std::chrono::steady_clock::now());
  EXPECT_EQ(left.get().back().finish->reason, FinishReason::kCancelled);
  EXPECT_EQ(other.submit({{1}, {}, left.sink()}).error().code, Code::kUnavailable);
}

TEST(FakeTokenizer, StreamsWholeCharactersAndFindsSpecials) {
  const FakeTokenizer tokenizer({.add_bos = true, .extra_tokens = {"word"}});
  const auto ids = tokenizer.encode("a<|eos|>é");
  EXPECT_EQ(ids, (std::vector<TokenId>{FakeTokenizer::kBos, 'a', FakeTokenizer::kEos, 0xC3, 0xA9}));
  EXPECT_EQ(tokenizer.decode(ids, true), "aé");
  EXPECT_EQ(tokenizer.decode(ids, false), "<|bos|>a<|eos|>é");
  auto stream = tokenizer.stream(true);
  EXPECT_EQ(stream->append(0xC3), "");
  EXPECT_EQ(stream->append(0xA9), "é");
  EXPECT_EQ(stream->append(FakeTokenizer::kFirstExtra), "word");
  EXPECT_EQ(stream->append(0xF0), "");
  EXPECT_EQ(stream->append('x'), "\xEF\xBF\xBDx");
  EXPECT_EQ(stream->append(0xE2), "");
  EXPECT_EQ(stream->finish(), "\xEF\xBF\xBD");
}

}  // namespace
}  // namespace pegainfer::testing

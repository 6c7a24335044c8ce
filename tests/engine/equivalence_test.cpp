// What a request is told depends on that request alone, bit for bit, log-probabilities included: not on
// chunks, the prefix cache, preemption, the overlap of steps, its neighbours or their ends. Whole engines
// over tiny models with real kernels.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "sampling/validate.h"
#include "support/engine_rig.h"

namespace pegainfer::testing {
namespace {

struct Case {
  std::string name;
  TinyModel model;
  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

class EquivalenceTest : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] RigOptions options() const { return {.model = GetParam().model}; }

  std::vector<TokenId> prompt(int length) {
    std::uniform_int_distribution<TokenId> token(0, GetParam().model.vocab - 1);
    std::vector<TokenId> out(static_cast<size_t>(length));
    for (TokenId& t : out) t = token(random_);
    return out;
  }
  int any(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  Ask ask(std::vector<TokenId> prompt, int max_tokens) {
    Ask a;
    a.prompt = std::move(prompt);
    a.sampling.max_tokens = max_tokens;
    a.sampling.seed = random_();
    a.sampling.temperature = any(0, 1) == 0 ? 0.0F : 1.2F;
    a.sampling.top_k = any(0, 2) == 0 ? 20 : 0;
    a.sampling.logprobs = any(-1, 5);
    return a;
  }
  // What the plain sampler does not do, alone and together: stages of the device and of the host, with and
  // without a need for the last token.
  void elaborate(SamplingParams& s) {
    const int kind = any(0, 9);
    if (kind <= 2) s.repetition_penalty = 1.3F, s.presence_penalty = 0.4F, s.frequency_penalty = 0.2F;
    if (kind == 2) s.penalty_last_n = any(1, 20);
    if (kind == 2 || kind == 3) s.logit_bias = {{5, 3}, {9, -4}, {3, 2}};
    if (kind == 3 || kind == 4) s.min_tokens = any(1, 6);
    if (kind == 4) s.bad_words = {{6}, prompt(2), {5, 9}};
    if (kind == 5) s.allowed_token_ids = prompt(30);
    if (kind == 6 || kind == 0)
      s.dry = {.multiplier = 0.9F, .base = 1.5F, .allowed_length = 1, .sequence_breakers = {{8}}};
    if (kind >= 7 || kind == 0) s.temperature = 1.3F;
    if (kind == 7) s.xtc_probability = 0.5F, s.xtc_threshold = 0.02F, s.dynatemp_range = 0.5F;
    if (kind == 8) s.typical_p = 0.8F, s.top_n_sigma = 1.5F, s.logit_bias = {{7, 4}};
    if (kind == 9 || kind == 0) s.mirostat = {.version = any(1, 2), .tau = 3, .eta = 0.2F};
  }
  // Requests of all kinds: greedy and not, with stop tokens, scoring only, with the prompt's logprobs.
  std::vector<Ask> some(int count, int longest = 60) {
    std::vector<Ask> asks;
    for (int i = 0; i < count; ++i) {
      Ask a = ask(prompt(any(1, longest)), any(1, 12));
      if (i % 4 == 1) a.sampling.stop_token_ids = prompt(8);
      if (i % 4 == 2) a.sampling.prompt_logprobs = any(0, 4);
      if (i % 3 == 0) elaborate(a.sampling);
      if (i % 7 == 6) a.sampling.max_tokens = 0;
      asks.push_back(std::move(a));
    }
    return asks;
  }
  // Each on its own, in whole prompts, one step after the other, without a cache.
  std::vector<Answer> reference(const std::vector<Ask>& asks) {
    RigOptions plain = options();
    plain.eos = eos_;
    plain.max_num_batched_tokens = 256;
    EngineRig rig(plain);
    std::vector<Answer> answers;
    for (const Ask& a : asks) {
      Ask whole = a;
      whole.cancel_after = -1;
      answers.push_back(rig.run(whole));
    }
    return answers;
  }
  static void expect_same(const std::vector<Answer>& got, const std::vector<Answer>& expected,
                          const std::string& what) {
    ASSERT_EQ(got.size(), expected.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_EQ(difference(got[i], expected[i]), "") << what << ", request " << i;
  }

  std::mt19937 random_{11};
  const std::vector<TokenId> eos_ = {3, 77};
};

TEST_P(EquivalenceTest, ChunkedEqualsWholeForEveryChunkSize) {
  std::vector<Ask> asks = {ask(prompt(40), 4), ask(prompt(33), 4)};
  asks[0].sampling.prompt_logprobs = 3;
  const std::vector<Answer> whole = reference(asks);
  for (int chunk = 1; chunk <= 41; ++chunk) {
    RigOptions o = options();
    o.eos = eos_;
    o.max_num_batched_tokens = chunk;
    o.max_num_seqs = std::min(chunk, 2);
    o.depth = 1 + chunk % 2;
    EngineRig rig(o);
    expect_same(rig.run(asks), whole, "chunks of " + std::to_string(chunk));
  }
}

TEST_P(EquivalenceTest, OverlapEqualsSerial) {
  for (int round = 0; round < 4; ++round) {
    const std::vector<Ask> asks = some(12);
    const std::vector<Answer> serial = reference(asks);
    for (const int depth : {1, 2}) {
      RigOptions o = options();
      o.eos = eos_;
      o.depth = depth;
      EngineRig rig(o);
      expect_same(rig.run(asks), serial, "depth " + std::to_string(depth));
    }
  }
}

// More rows for the host than a step has room for, and preemption: a state that is kept on the host
// (penalties, mirostat's mu, DRY) is that of the undisturbed run.
TEST_P(EquivalenceTest, ElaborateSamplingIsItsRequestsAlone) {
  std::vector<Ask> asks;
  for (int i = 0; i < 22; ++i) {
    asks.push_back(ask(prompt(any(1, 40)), 14));
    SamplingParams& s = asks.back().sampling;
    elaborate(s);
    s.ignore_eos = true;
    if (i < 18) s.temperature = 1.1F, s.mirostat = {.version = 1 + i % 2, .tau = 4, .eta = 0.3F};
  }
  const std::vector<Answer> alone = reference(asks);
  for (const int depth : {1, 2}) {
    for (const int every : {0, 5}) {
      RigOptions o = options();
      o.eos = eos_;
      o.depth = depth;
      o.max_num_seqs = 24;
      o.force_preempt_every = every;
      EngineRig rig(o);
      expect_same(rig.run(asks), alone, "depth " + std::to_string(depth));
    }
  }
}

TEST_P(EquivalenceTest, AWarmPrefixEqualsACold) {
  for (const int depth : {1, 2}) {
    RigOptions o = options();
    o.eos = eos_;
    o.prefix_caching = true;
    o.depth = depth;
    EngineRig rig(o);
    Ask first = ask(prompt(50), 20);
    first.sampling.ignore_eos = true;
    const Answer cold = rig.run(first);
    EXPECT_EQ(cold.finish.usage.cached_tokens, 0);
    const Answer warm = rig.run(first);
    EXPECT_EQ(warm.finish.usage.cached_tokens, 48);
    EXPECT_EQ(difference(warm, cold), "");

    const auto expect_hit = [&](const Ask& a, int cached, const char* what) {
      const Answer got = rig.run(a);
      EXPECT_EQ(got.finish.usage.cached_tokens, cached) << what;
      EXPECT_EQ(difference(got, reference({a})[0]), "") << what;
    };
    // Part of the prompt; all of it up to a block's end, of which one token must be computed; the answer too.
    std::vector<TokenId> part(first.prompt.begin(), first.prompt.begin() + 20);
    expect_hit(ask(part, 6), 16, "part");
    std::vector<TokenId> blocks(first.prompt.begin(), first.prompt.begin() + 48);
    expect_hit(ask(blocks, 6), 32, "whole blocks");
    std::vector<TokenId> turn = first.prompt;
    turn.insert(turn.end(), cold.tokens.begin(), cold.tokens.end());
    const std::vector<TokenId> more = prompt(7);
    turn.insert(turn.end(), more.begin(), more.end());
    expect_hit(ask(turn, 6), 64, "the next turn");
    // Other beginnings, other salts, and after a reset: nothing.
    std::vector<TokenId> other = first.prompt;
    other[0] = (other[0] + 1) % GetParam().model.vocab;
    expect_hit(ask(other, 6), 0, "another first token");
    Ask salted = first;
    salted.cache_salt = "pepper";
    expect_hit(salted, 0, "another salt");
    rig.engine().reset_prefix_cache();
    expect_hit(first, 0, "reset");
  }
}

// Several that begin alike, at once, with more than the cache holds: some compute, some find, some are
// preempted.
TEST_P(EquivalenceTest, SharedPrefixesAtOnce) {
  const std::vector<TokenId> shared = prompt(40);
  std::vector<Ask> asks;
  for (int i = 0; i < 12; ++i) {
    std::vector<TokenId> p(shared.begin(), shared.begin() + any(10, 40));
    const std::vector<TokenId> own = prompt(any(1, 20));
    p.insert(p.end(), own.begin(), own.end());
    asks.push_back(ask(std::move(p), any(2, 20)));
    if (i % 5 == 0) asks.back().sampling.prompt_logprobs = 2;
  }
  const std::vector<Answer> alone = reference(asks);
  for (const int depth : {1, 2}) {
    RigOptions o = options();
    o.eos = eos_;
    o.prefix_caching = true;
    o.depth = depth;
    o.num_kv_blocks = 17;  // one request of the model's full length
    EngineRig rig(o);
    for (int round = 0; round < 2; ++round)
      expect_same(rig.run(asks), alone, "round " + std::to_string(round));
    EXPECT_GT(rig.engine().stats().prefix_cache_hits_total, 0U);
    EXPECT_EQ(rig.num_free_blocks_at_rest(), 16);
  }
}

TEST_P(EquivalenceTest, PreemptedEqualsUndisturbed) {
  const std::vector<Ask> asks = some(7, 40);
  const std::vector<Answer> undisturbed = reference(asks);
  for (int every = 1; every <= 7; ++every) {
    for (const bool caching : {false, true}) {
      RigOptions o = options();
      o.eos = eos_;
      o.force_preempt_every = every;
      o.prefix_caching = caching;
      o.depth = 1 + every % 2;
      EngineRig rig(o);
      expect_same(rig.run(asks), undisturbed,
                  "preempted every " + std::to_string(every) + (caching ? ", cached" : ""));
      EXPECT_GT(rig.engine().stats().num_preemptions_total, 0U);
    }
  }
}

// The pool holds two of the nine in full: those that grow push others out.
TEST_P(EquivalenceTest, ASmallPoolEqualsALargeOne) {
  std::vector<Ask> asks;
  for (int i = 0; i < 9; ++i) {
    asks.push_back(ask(prompt(any(20, 60)), any(40, 60)));
    if (i % 2 == 0) elaborate(asks.back().sampling);
    asks.back().sampling.ignore_eos = true;
  }
  const std::vector<Answer> alone = reference(asks);
  for (const int depth : {1, 2}) {
    RigOptions o = options();
    o.eos = eos_;
    o.num_kv_blocks = 17;
    o.depth = depth;
    EngineRig rig(o);
    expect_same(rig.run(asks), alone, "depth " + std::to_string(depth));
    EXPECT_GT(rig.engine().stats().num_preemptions_total, 0U);
  }
}

TEST_P(EquivalenceTest, BatchMatesAreIrrelevant) {
  const Ask subject = [&] {
    Ask a = ask(prompt(30), 12);
    a.sampling.logprobs = 5;
    a.sampling.prompt_logprobs = 5;
    a.sampling.temperature = 1.1F;
    return a;
  }();
  const Answer alone = reference({subject})[0];
  for (int round = 0; round < 10; ++round) {
    RigOptions o = options();
    o.eos = eos_;
    o.max_num_batched_tokens = any(16, 80);
    o.max_num_seqs = any(2, 16);
    o.depth = any(1, 2);
    o.prefix_caching = any(0, 1) == 0;
    EngineRig rig(o);
    std::vector<Ask> asks = some(any(1, 12));
    const auto place = static_cast<size_t>(any(0, static_cast<int>(asks.size())));
    asks.insert(asks.begin() + static_cast<std::ptrdiff_t>(place), subject);
    EXPECT_EQ(difference(rig.run(asks)[place], alone), "") << "round " << round;
  }
}

TEST_P(EquivalenceTest, ChoicesEqualSeparateRequests) {
  std::vector<Ask> asks;
  const std::vector<TokenId> common = prompt(37);
  for (int i = 0; i < 5; ++i) {
    Ask a = ask(common, 10);
    a.sampling.temperature = 1.5F;
    a.sampling.logprobs = 2;
    asks.push_back(a);
  }
  const std::vector<Answer> separate = reference(asks);
  EXPECT_NE(separate[0].tokens, separate[1].tokens);
  for (const int depth : {1, 2}) {
    for (const bool caching : {false, true}) {
      RigOptions o = options();
      o.eos = eos_;
      o.depth = depth;
      o.prefix_caching = caching;
      EngineRig rig(o);
      std::vector<Ask> choices = asks;
      const uint64_t group = rig.engine().new_group();
      for (Ask& a : choices) a.group = group;
      expect_same(rig.run(choices), separate, "choices");
      // 37 tokens once, and for each other choice what is no full block.
      EXPECT_EQ(rig.num_free_blocks_at_rest(), 96);
      EXPECT_GE(rig.engine().stats().prefix_cache_hits_total, caching ? 4U * 32U : 0U);
    }
  }
}

TEST_P(EquivalenceTest, CancelsOfOthersAreIrrelevant) {
  std::vector<Ask> asks = some(14);
  for (Ask& a : asks) a.sampling.max_tokens = any(5, 25);
  const std::vector<Answer> whole = reference(asks);
  for (int round = 0; round < 4; ++round) {
    RigOptions o = options();
    o.eos = eos_;
    o.depth = 1 + round % 2;
    o.prefix_caching = round >= 2;
    o.num_kv_blocks = 25;
    EngineRig rig(o);
    for (Ask& a : asks) a.cancel_after = any(0, 2) == 0 ? any(0, 6) : -1;
    const std::vector<Answer> got = rig.run(asks);
    for (size_t i = 0; i < asks.size(); ++i) {
      if (asks[i].cancel_after < 0) {
        EXPECT_EQ(difference(got[i], whole[i]), "") << "round " << round << ", request " << i;
      } else {  // what it was told before is the beginning of the whole
        ASSERT_LE(got[i].tokens.size(), whole[i].tokens.size());
        EXPECT_TRUE(std::equal(got[i].tokens.begin(), got[i].tokens.end(), whole[i].tokens.begin()));
      }
    }
    EXPECT_EQ(rig.num_free_blocks_at_rest(), 24);
  }
}

// Everything at once, in one engine that goes on and on; and nothing is allocated after it was ready.
TEST_P(EquivalenceTest, MixedLoadAllocatesNothingOnTheDevice) {
  for (const int depth : {1, 2}) {
    RigOptions o = options();
    o.eos = eos_;
    o.depth = depth;
    o.prefix_caching = true;
    o.num_kv_blocks = 33;
    o.force_preempt_every = 11;
    EngineRig rig(o);
    const uint64_t before = rig.backend().num_allocations();
    EXPECT_GT(before, 0U);
    for (int round = 0; round < 4; ++round) {
      std::vector<Ask> asks = some(16);
      asks[0].sampling.logprobs = asks[1].sampling.prompt_logprobs = kMaxLogprobs;
      const uint64_t group = rig.engine().new_group();
      for (size_t i = 2; i < 5; ++i) asks[i].prompt = asks[0].prompt, asks[i].group = group;
      expect_same(rig.run(asks), reference(asks), "mixed");
    }
    EXPECT_EQ(rig.backend().num_allocations(), before);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EquivalenceTest,
                         ::testing::Values(Case{"qwen3", tiny_qwen3()}, Case{"mistral", tiny_mistral()}),
                         [](const auto& param_info) { return param_info.param.name; });

// With overlap the row of a request whose last token was not a number is already on its way: it harms nobody.
TEST(Equivalence, ARowThatIsNotANumberEndsItsRequestAlone) {
  const TinyModel model = tiny_mistral();  // own head: the poisoned row is no output
  std::vector<TinyTensor> tensors = tiny_tensors(model);
  const TokenId poison = 7;
  for (int i = 0; i < model.hidden; ++i)
    tensors[0].values[static_cast<size_t>(poison * model.hidden + i)] =
        std::numeric_limits<float>::quiet_NaN();
  Ask good;
  good.prompt = {1, 2, 3, 4, 5};
  good.sampling.max_tokens = 8;
  good.sampling.seed = 1;
  good.sampling.temperature = 0;
  good.sampling.ignore_eos = true;
  good.sampling.logprobs = 3;
  Ask bad = good;
  bad.prompt = {1, 2, poison, 4};
  RigOptions o{.model = model, .tensors = tensors, .prefix_caching = true};
  EngineRig serial(o);
  const Answer expected = serial.run(good);
  o.depth = 2;
  EngineRig rig(o);
  for (int round = 0; round < 3; ++round) {
    const std::vector<Answer> got = rig.run({good, bad, good, bad});
    for (const size_t i : {0U, 2U}) EXPECT_EQ(difference(got[i], expected), "");
    for (const size_t i : {1U, 3U}) {
      EXPECT_EQ(got[i].finish.reason, FinishReason::kError);
      EXPECT_TRUE(got[i].tokens.empty());
    }
  }
  EXPECT_EQ(rig.num_free_blocks_at_rest(), 96);
}

}  // namespace
}  // namespace pegainfer::testing

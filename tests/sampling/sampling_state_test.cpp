// What a request's parameters make of the next row: edits, masks and said tokens, against a direct reading of
// their definitions.
#include "sampling/sampling_state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <vector>

namespace pegainfer {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
using Edits = std::map<TokenId, float>;
using Said = std::map<TokenId, int>;

struct Work {
  Edits edits;
  Said said;
};

// Row of the sequence `tokens`, of which `num_prompt` are the prompt.
Work work_of(SamplingState& state, const std::vector<TokenId>& tokens, int num_pending = 0) {
  LogitsWorkList list;
  state.emit(tokens, num_pending, list);
  Work out;
  for (const LogitEdit& edit : list.edits) EXPECT_TRUE(out.edits.emplace(edit.token, edit.add).second);
  for (const SaidToken& said : list.said) EXPECT_TRUE(out.said.emplace(said.token, said.count).second);
  return out;
}

std::unique_ptr<SamplingState> state_of(const SamplingParams& params, int num_prompt) {
  static const std::vector<TokenId> eos = {3, 9};
  return SamplingState::create(params, eos, num_prompt, 100);
}

TEST(SamplingState, ThePlainSamplerNeedsNone) {
  SamplingParams p;
  p.temperature = 0.7F, p.top_k = 5, p.top_p = 0.5F, p.min_p = 0.1F, p.stop_token_ids = {4}, p.logprobs = 3;
  EXPECT_EQ(state_of(p, 4), nullptr);
  p.penalty_last_n = 0, p.presence_penalty = 1;  // looks at nothing
  p.dry.multiplier = 1, p.dry.penalty_last_n = 0;
  EXPECT_EQ(state_of(p, 4), nullptr);
  p = {};
  p.temperature = 0, p.typical_p = 0.5F, p.xtc_probability = 1,
  p.mirostat.version = 2;  // greedy all the same
  EXPECT_EQ(state_of(p, 4), nullptr);
}

TEST(SamplingState, WhoWaitsForItsToken) {
  const auto waits = [](auto set) {
    SamplingParams p;
    set(p);
    const auto state = state_of(p, 2);
    return state == nullptr ? -1 : static_cast<int>(state->waits_for_token());
  };
  EXPECT_EQ(waits([](SamplingParams& p) { p.logit_bias = {{1, 5}}; }), 0);
  EXPECT_EQ(waits([](SamplingParams& p) { p.min_tokens = 3; }), 0);
  EXPECT_EQ(waits([](SamplingParams& p) { p.allowed_token_ids = {1}; }), 0);
  EXPECT_EQ(waits([](SamplingParams& p) { p.bad_words = {{1}}; }), 0);
  EXPECT_EQ(waits([](SamplingParams& p) { p.bad_words = {{1}, {1, 2}}; }), 1);
  EXPECT_EQ(waits([](SamplingParams& p) { p.repetition_penalty = 1.1F; }), 1);
  EXPECT_EQ(waits([](SamplingParams& p) { p.presence_penalty = 1; }), 1);
  EXPECT_EQ(waits([](SamplingParams& p) { p.frequency_penalty = 1; }), 1);
  EXPECT_EQ(waits([](SamplingParams& p) { p.dry.multiplier = 1; }), 1);
  for (const auto set :
       {+[](SamplingParams& p) { p.typical_p = 0.9F; }, +[](SamplingParams& p) { p.top_n_sigma = 1; },
        +[](SamplingParams& p) { p.xtc_probability = 0.5F; },
        +[](SamplingParams& p) { p.dynatemp_range = 0.5F; },
        +[](SamplingParams& p) { p.mirostat.version = 1; }})
    EXPECT_EQ(waits(set), 1);
  EXPECT_EQ(waits([](SamplingParams& p) { p.xtc_probability = 0.5F, p.xtc_threshold = 0.6F; }), -1);
}

TEST(SamplingState, BiasAndMinTokens) {
  SamplingParams p;
  p.logit_bias = {{7, 2.5F}, {1, -1}, {3, 4}};
  p.min_tokens = 2;
  p.stop_token_ids = {20};
  const auto state = state_of(p, 2);
  const Edits early = {{1, -1}, {3, kNever}, {7, 2.5F}, {9, kNever}, {20, kNever}};
  const Edits late = {{1, -1}, {3, 4}, {7, 2.5F}};
  EXPECT_EQ(work_of(*state, {1, 2}).edits, early);
  EXPECT_EQ(work_of(*state, {1, 2, 5}).edits, early);
  EXPECT_EQ(work_of(*state, {1, 2, 5, 5}).edits, late);
  EXPECT_EQ(work_of(*state, {1, 2}, 1).edits, early);  // one more is in flight
  EXPECT_EQ(work_of(*state, {1, 2}, 2).edits, late);
  p.ignore_eos = true;  // not to be drawn early all the same, as in vLLM
  EXPECT_EQ(work_of(*state_of(p, 2), {1, 2}).edits, early);
}

TEST(SamplingState, BadWordsEndNeverInTheOutput) {
  SamplingParams p;
  p.bad_words = {{5}, {6, 7}, {6, 7, 8}, {1, 2}};
  const auto state = state_of(p, 3);
  EXPECT_EQ(work_of(*state, {1, 6, 1}).edits, (Edits{{5, kNever}}));  // what the prompt says does not count
  EXPECT_EQ(work_of(*state, {1, 6, 1, 6}).edits, (Edits{{5, kNever}, {7, kNever}}));
  EXPECT_EQ(work_of(*state, {1, 6, 1, 6, 7}).edits, (Edits{{5, kNever}, {8, kNever}}));
  EXPECT_EQ(work_of(*state, {1, 6, 1, 6, 7, 1}).edits, (Edits{{2, kNever}, {5, kNever}}));
}

TEST(SamplingState, AllowedTokensAreAMask) {
  SamplingParams p;
  p.allowed_token_ids = {0, 31, 32, 99};
  LogitsWorkList list;
  for (int i = 0; i < 2; ++i) state_of(p, 1)->emit(std::vector<TokenId>{1}, 0, list);
  ASSERT_EQ(list.num_masks, 2);
  ASSERT_EQ(list.masks.size(), 8U);  // 100 tokens are 4 words
  EXPECT_EQ(list.rows[1].mask, 1);
  for (TokenId id = 0; id < 100; ++id) {
    const bool allowed = (list.masks[4 + static_cast<size_t>(id) / 32] >> (id % 32) & 1U) != 0;
    EXPECT_EQ(allowed, id == 0 || id == 31 || id == 32 || id == 99) << id;
  }
}

// Token by token, and all at once as after a preemption, and against counting.
TEST(SamplingState, SaidTokensAreCountedAsTheSequenceGrows) {
  std::mt19937 random(5);
  std::uniform_int_distribution<TokenId> token(0, 12);
  for (const int last_n : {-1, 1, 7, 30}) {
    SamplingParams p;
    p.frequency_penalty = 0.5F;
    p.penalty_last_n = last_n;
    const int num_prompt = 20;
    std::vector<TokenId> tokens(num_prompt);
    for (TokenId& t : tokens) t = token(random);
    const auto state = state_of(p, num_prompt);
    for (int step = 0; step < 60; ++step) {
      Said expected;
      const size_t from =
          last_n < 0 ? 0 : tokens.size() - std::min(tokens.size(), static_cast<size_t>(last_n));
      for (size_t i = from; i < tokens.size(); ++i) expected[tokens[i]] += i >= num_prompt ? 1 : 0;
      ASSERT_EQ(work_of(*state, tokens).said, expected) << "last " << last_n << ", step " << step;
      if (step % 20 == 0) {
        ASSERT_EQ(work_of(*state_of(p, num_prompt), tokens).said, expected);
      }
      for (int more = random() % 2 == 0 ? 1 : 2; more > 0; --more) tokens.push_back(token(random));
    }
  }
}

// DRY by its definition, all lengths tried for each place.
Edits dry_directly(const DryParams& p, std::vector<TokenId> tokens) {
  const auto keep =
      p.penalty_last_n < 0 ? tokens.size() : std::min(tokens.size(), static_cast<size_t>(p.penalty_last_n));
  tokens.erase(tokens.begin(), tokens.end() - static_cast<std::ptrdiff_t>(keep));
  const int n = static_cast<int>(tokens.size());
  const auto at = [&](int i) { return tokens[static_cast<size_t>(i)]; };
  int most = n;  // tokens after the last breaker
  for (int end = 0; end <= n; ++end)
    for (const auto& breaker : p.sequence_breakers) {
      const int size = static_cast<int>(breaker.size());
      if (size <= end && std::equal(breaker.begin(), breaker.end(), tokens.begin() + end - size))
        most = n - end;
    }
  std::map<TokenId, int> longest;
  for (int i = 0; i + 1 < n; ++i) {
    int length = 0;
    while (length < most && length <= i && at(i - length) == at(n - 1 - length)) ++length;
    if (length >= p.allowed_length) longest[at(i + 1)] = std::max(longest[at(i + 1)], length);
  }
  Edits edits;
  for (const auto& [token, length] : longest)
    edits[token] =
        -static_cast<float>(p.multiplier * std::pow(static_cast<double>(p.base), length - p.allowed_length));
  return edits;
}

TEST(SamplingState, DryIsItsDefinition) {
  std::mt19937 random(6);
  size_t num_penalized = 0;
  for (int round = 0; round < 400; ++round) {
    SamplingParams p;
    p.dry = {.multiplier = 0.8F, .base = 1.75F, .allowed_length = 1 + round % 3};
    if (round % 2 == 0) p.dry.penalty_last_n = static_cast<int>(random() % 40);
    if (round % 5 != 0) p.dry.sequence_breakers = {{4}, {1, 2}};
    std::vector<TokenId> tokens(1 + random() % 60);
    for (TokenId& t : tokens) t = static_cast<TokenId>(random() % (2 + static_cast<unsigned>(round) % 4));
    const auto state = state_of(p, 1);
    if (p.dry.penalty_last_n == 0) {
      EXPECT_EQ(state, nullptr);
      continue;
    }
    const Edits expected = dry_directly(p.dry, tokens);
    num_penalized += expected.size();
    ASSERT_EQ(work_of(*state, tokens).edits, expected) << "round " << round;
  }
  EXPECT_GT(num_penalized, 200U);
}

// The published example: ... a b c, after "a b c d" was said.
TEST(SamplingState, DryByHand) {
  SamplingParams p;
  p.dry = {.multiplier = 2, .base = 3, .allowed_length = 2};
  const std::vector<TokenId> tokens = {10, 11, 12, 13, 50, 10, 11, 12};
  EXPECT_EQ(work_of(*state_of(p, 1), tokens).edits, (Edits{{13, -6}}));  // three tokens: 2 * 3^1
  p.dry.sequence_breakers = {{10}};
  EXPECT_EQ(work_of(*state_of(p, 1), tokens).edits, (Edits{{13, -2}}));  // two since the breaker
  p.dry.sequence_breakers = {{11}};
  EXPECT_EQ(work_of(*state_of(p, 1), tokens).edits, Edits{});
}

}  // namespace
}  // namespace pegainfer

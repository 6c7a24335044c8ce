// Random traces: whatever arrives, is cancelled, is cut into chunks, shares a batch or a prefix, or has to
// give its blocks to others, every request is told exactly what it would be told alone, blocks never leak,
// nobody is overtaken without end, and every invariant holds after every step. A trace that fails is shrunk:
// what is printed is the little of it that still fails.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "scheduler/harness.h"
#include "scheduler/scheduler.h"

namespace pegainfer {
namespace {

using pegainfer::testing::expect_alone;
using pegainfer::testing::Expected;
using pegainfer::testing::FakeExecutor;
using pegainfer::testing::FakeExecutorOptions;
using pegainfer::testing::Harness;

class Random {
 public:
  explicit Random(unsigned seed) : rng_(seed) {}
  int operator()(int low, int high) { return std::uniform_int_distribution(low, high)(rng_); }
  bool one_in(int n) { return (*this)(1, n) == 1; }

 private:
  std::mt19937 rng_;
};

struct Submission {
  std::vector<TokenId> prompt;
  SamplingParams sampling;
  RequestOptions options;
};

// One thing that happens; between them the loop takes steps.
struct Operation {
  enum class Kind : uint8_t { kAdd, kCancel, kTimeout, kReset, kStep } kind = Kind::kStep;
  uint64_t id = 0;
  Submission submission;
};

struct Trace {
  SchedulerOptions options;
  FakeExecutorOptions executor;
  std::vector<Operation> operations;
};

// Prompts are made of few texts, so that prefixes are shared, of every length.
std::vector<TokenId> random_prompt(Random& random, int vocab, int length) {
  const auto text = static_cast<unsigned>(random(0, 2));
  std::vector<TokenId> prompt;
  std::mt19937 words(text);
  for (int i = 0; i < length; ++i)
    prompt.push_back(static_cast<TokenId>(words() % static_cast<unsigned>(vocab)));
  if (random.one_in(2)) prompt[static_cast<size_t>(random(0, length - 1))] = random(0, vocab - 1);
  return prompt;
}

Submission random_submission(Random& random, int vocab, int max_positions) {
  Submission s;
  s.prompt = random_prompt(random, vocab, random(1, max_positions - 1));
  const auto length = static_cast<int>(s.prompt.size());
  s.sampling.max_tokens = random(0, max_positions - length);
  s.sampling.seed = static_cast<uint64_t>(random(0, 3));
  s.sampling.ignore_eos = random.one_in(3);
  if (random.one_in(3)) s.sampling.stop_token_ids = {random(0, vocab - 1)};
  if (random.one_in(3)) s.sampling.logprobs = random(0, 3);
  if (random.one_in(4)) s.sampling.prompt_logprobs = random(0, 3);
  if (random.one_in(4)) s.options.priority = random(-2, 2);
  s.options.waits_for_token = random.one_in(5);
  if (random.one_in(5)) s.sampling.presence_penalty = 1;  // the executor does not care; plans do
  if (random.one_in(6)) s.sampling.logit_bias = {{0, 1}, {random(0, vocab - 1), -1}};
  if (random.one_in(6)) s.sampling.min_tokens = random(1, 4);
  if (random.one_in(6)) s.sampling.allowed_token_ids = {0, vocab - 1};
  if (random.one_in(6)) s.sampling.typical_p = 0.5F;
  if (random.one_in(6)) s.options.cache_salt = random.one_in(2) ? "a" : "b";
  return s;
}

Trace random_trace(unsigned seed) {
  Random random(seed);
  Trace t;
  const int vocab = random(3, 40);  // small: EOS, stop tokens and NaN rows happen
  SchedulerOptions& o = t.options;
  o.block_size = random(1, 8);
  o.num_kv_blocks = random(2, 40);
  o.max_num_seqs = random(1, 8);
  o.max_num_batched_tokens = random(o.max_num_seqs, random.one_in(2) ? 24 : 200);
  o.max_model_len = random(2, 60);
  o.eos_token_ids = {0};
  o.vocab_size = vocab;
  o.logits_work = {.entries = random(vocab, 3 * vocab), .masks = random(1, 3), .host_rows = random(1, 3)};
  o.enable_prefix_caching = !random.one_in(4);
  if (random.one_in(3)) o.force_preempt_every = random(1, 7);
  if (random.one_in(3)) o.cache_key_bits = random(1, 8);
  const bool with_nan = random.one_in(4);
  t.executor = {.num_kv_blocks = o.num_kv_blocks,
                .block_size = o.block_size,
                .vocab_size = vocab,
                .depth = random(1, 3)};
  t.executor.choose = [=](uint64_t hash, int) {
    if (with_nan && hash % 50 == 0) return -1;
    return static_cast<TokenId>(hash % static_cast<uint64_t>(vocab));
  };
  const int max_positions = std::max(2, std::min((o.num_kv_blocks - 1) * o.block_size, o.max_model_len));
  const int num_requests = random(1, 20);
  uint64_t num_added = 0;
  while (num_added < static_cast<uint64_t>(num_requests)) {
    if (random.one_in(3)) {
      Submission s = random_submission(random, vocab, max_positions);
      const int choices = random.one_in(5) ? random(2, 4) : 1;
      if (choices > 1) s.options.group = num_added + 1;
      for (int i = 0; i < choices; ++i) {
        if (i > 0) ++*s.sampling.seed;
        t.operations.push_back({.kind = Operation::Kind::kAdd, .id = ++num_added, .submission = s});
      }
    } else if (num_added > 0 && random.one_in(15)) {
      const auto id = static_cast<uint64_t>(random(1, static_cast<int>(num_added)));
      const auto kind = random.one_in(2) ? Operation::Kind::kCancel : Operation::Kind::kTimeout;
      t.operations.push_back({.kind = kind, .id = id});
    } else if (random.one_in(40)) {
      t.operations.push_back({.kind = Operation::Kind::kReset});
    } else {
      t.operations.push_back({});
    }
  }
  return t;
}

// Runs a trace and says what is wrong with it; "": nothing.
class Runner {
 public:
  explicit Runner(const Trace& trace) : trace_(trace), h_(trace.options, trace.executor) { h_.quiet = true; }

  std::string run() {
    for (const Operation& op : trace_.operations) {
      apply(op);
      if (!wrong_.empty()) return wrong_;
    }
    for (int i = 0; !h_.scheduler.idle(); ++i) {
      if (i > 20000) return "it does not end";
      step();
      if (!wrong_.empty()) return wrong_;
    }
    if (h_.scheduler.kv().num_free() != trace_.options.num_kv_blocks - 1) return "blocks are lost";
    if (h_.told.size() != accepted_.size()) return "told others than those that were accepted";
    for (const auto& [id, op] : accepted_) check_told(id, op->submission);
    return wrong_;
  }

 private:
  void apply(const Operation& op) {
    switch (op.kind) {
      case Operation::Kind::kAdd:
        if (h_.add(op.id, op.submission.prompt, op.submission.sampling, op.submission.options))
          accepted_.emplace(op.id, &op);
        return;
      case Operation::Kind::kCancel: h_.cancel(op.id); return check_end(op.id);
      case Operation::Kind::kTimeout:
        h_.scheduler.end(RequestId{op.id}, FinishReason::kTimeout, "too late");
        h_.listen();
        return check_end(op.id);
      case Operation::Kind::kReset: h_.scheduler.reset_prefix_cache(); return;
      case Operation::Kind::kStep: return step();
    }
  }

  void check_end(uint64_t id) {
    ended_.insert(id);
    if (accepted_.contains(id) && !h_.told[id].finish) wrong_ = "an ended request goes on";
    if (!h_.scheduler.check_invariants()) wrong_ = "an invariant is broken after an end";
  }

  void step() {
    const int before = h_.num_inflight();
    const bool idle = h_.scheduler.idle();
    const StepPlan plan = h_.step();
    if (!idle && plan.num_tokens == 0 && before == 0) wrong_ = "there is work and no progress";
    if (h_.invariants_broken) wrong_ = "an invariant is broken";
    if (h_.contract_broken) wrong_ = "a sink was told what it must not be told";
    for (const ScheduledRequest& s : plan.scheduled) count_overtaken(s.id.value);
  }

  // With one priority, whoever is first taken in has overtaken only those that wait for a prefix or that
  // find no room, which nobody passes: so at most the passed over ones.
  void count_overtaken(uint64_t id) {
    if (!first_scheduled_.insert(id).second) return;
    const int priority = accepted_.at(id)->submission.options.priority;
    for (const auto& [other, op] : accepted_) {
      if (other >= id) break;
      if (first_scheduled_.contains(other) || h_.told[other].finish) continue;
      if (op->submission.options.priority <= priority && ++overtaken_[other] > 200)
        wrong_ = "request " + std::to_string(other) + " starves";
    }
  }

  void check_told(uint64_t id, const Submission& s) {
    const auto say = [&](const char* what) { wrong_ = "request " + std::to_string(id) + ": " + what; };
    const auto& told = h_.told[id];
    const Expected expected = expect_alone(h_.executor(), trace_.options, s.prompt, s.sampling);
    if (!told.finish) return say("has no finish");
    if (told.finish->usage.prompt_tokens != static_cast<int>(s.prompt.size())) return say("prompt_tokens");
    if (told.finish->usage.cached_tokens >= static_cast<int>(s.prompt.size())) return say("cached_tokens");
    const FinishReason reason = told.finish->reason;
    if (reason == FinishReason::kCancelled || reason == FinishReason::kTimeout) {
      if (!ended_.contains(id)) return say("was ended by nobody");
      if (told.tokens.size() > expected.tokens.size() ||
          !std::equal(told.tokens.begin(), told.tokens.end(), expected.tokens.begin()))
        return say("was told other tokens before its end");
      return;
    }
    if (told.tokens != expected.tokens) return say("was told other tokens than alone");
    if (reason != expected.reason) return say("ended for another reason");
    if (told.finish->stop_token != expected.stop_token) return say("names another stop token");
    if (told.finish->usage.completion_tokens != expected.completion_tokens) return say("completion_tokens");
    if (!logprobs_right(s, told)) return say("was told other log-probabilities");
  }

  static bool logprobs_right(const Submission& s, const pegainfer::testing::Told& told) {
    std::vector<TokenId> before = s.prompt;
    if (told.logprobs.size() != (s.sampling.logprobs >= 0 ? told.tokens.size() : 0)) return false;
    for (size_t i = 0; i < told.logprobs.size(); ++i) {
      if (!same(told.logprobs[i], FakeExecutor::logprobs_of(before, told.tokens[i], s.sampling.logprobs)))
        return false;
      before.push_back(told.tokens[i]);
    }
    // One that met a NaN has those of its prompt when it was told of a token; else they may be missing.
    const size_t wanted = s.sampling.prompt_logprobs >= 0 ? s.prompt.size() - 1 : 0;
    if (told.prompt_logprobs.size() != wanted) return false;
    before.clear();
    for (size_t i = 0; i < wanted; ++i) {
      before.push_back(s.prompt[i]);
      if (!same(told.prompt_logprobs[i],
                FakeExecutor::logprobs_of(before, s.prompt[i + 1], s.sampling.prompt_logprobs)))
        return false;
    }
    return true;
  }

  static bool same(const PositionLogprobs& a, const PositionLogprobs& b) {
    return a.chosen.token == b.chosen.token && a.chosen.logprob == b.chosen.logprob &&
           a.top.size() == b.top.size();
  }

  const Trace& trace_;
  Harness h_;
  std::map<uint64_t, const Operation*> accepted_;
  std::set<uint64_t> ended_;
  std::set<uint64_t> first_scheduled_;
  std::map<uint64_t, int> overtaken_;
  std::string wrong_;
};

// Leaves out what can be left out, from large pieces to single operations.
Trace shrink(Trace trace) {
  for (size_t piece = trace.operations.size(); piece > 0; piece /= 2) {
    for (size_t at = 0; at < trace.operations.size();) {
      Trace smaller = trace;
      const auto first = smaller.operations.begin() + static_cast<std::ptrdiff_t>(at);
      smaller.operations.erase(
          first, first + static_cast<std::ptrdiff_t>(std::min(piece, smaller.operations.size() - at)));
      if (!Runner(smaller).run().empty()) {
        trace = std::move(smaller);
      } else {
        at += piece;
      }
    }
  }
  return trace;
}

std::string describe(const Trace& t) {
  std::ostringstream out;
  const SchedulerOptions& o = t.options;
  out << "blocks " << o.num_kv_blocks << " of " << o.block_size << ", seqs " << o.max_num_seqs << ", tokens "
      << o.max_num_batched_tokens << ", length " << o.max_model_len << ", depth " << t.executor.depth
      << ", caching " << o.enable_prefix_caching << ", key bits " << o.cache_key_bits << ", preempt every "
      << o.force_preempt_every << "\n";
  for (const Operation& op : t.operations) {
    constexpr std::array kNames{"add", "cancel", "timeout", "reset", "step"};
    out << kNames[static_cast<size_t>(op.kind)] << " " << op.id;
    if (op.kind == Operation::Kind::kAdd) {
      out << " max_tokens " << op.submission.sampling.max_tokens << " seed " << *op.submission.sampling.seed
          << " group " << op.submission.options.group << " prompt";
      for (const TokenId token : op.submission.prompt) out << " " << token;
    }
    out << "\n";
  }
  return out.str();
}

// Sanitizers make each trace ten times as long: fewer of them then.
unsigned num_traces() {
  if (const char* count = std::getenv("PEGA_TRACES")) return static_cast<unsigned>(std::atol(count));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 2000;
#else
  return 20000;
#endif
}

TEST(SchedulerTraces, EveryRequestIsToldWhatItWouldBeToldAlone) {
  for (unsigned seed = 0; seed < num_traces(); ++seed) {
    const Trace trace = random_trace(seed);
    const std::string wrong = Runner(trace).run();
    if (wrong.empty()) continue;
    FAIL() << "seed " << seed << ": " << wrong << "\n" << describe(shrink(trace));
  }
}

// One request, cancelled at every point of its life, in pipelines of every depth, beside a neighbour.
TEST(SchedulerTraces, CancelAtEveryPoint) {
  for (int depth = 1; depth <= 3; ++depth) {
    for (int point = 0; point < 40; ++point) {
      SchedulerOptions options{.max_num_seqs = 2, .max_num_batched_tokens = 4, .eos_token_ids = {}};
      Harness h(options, {.num_kv_blocks = 1 + 12, .block_size = 4, .depth = depth});
      SamplingParams p;
      p.max_tokens = 10;
      p.seed = 1;
      ASSERT_TRUE(h.add(1, {1, 2, 3, 4, 5, 6, 7, 8, 9}, p));
      ASSERT_TRUE(h.add(2, {9, 8, 7}, p));
      for (int i = 0; i < point; ++i) {  // odd points lie between a launch and its collection
        if (i % 2 == 0) {
          if (h.num_inflight() < depth) h.launch();
        } else if (h.num_inflight() > 0) {
          h.collect();
        }
      }
      const bool done = h.told[1].finish.has_value();
      h.cancel(1);
      ASSERT_TRUE(h.scheduler.check_invariants());
      ASSERT_TRUE(h.told[1].finish);
      if (!done) {
        EXPECT_EQ(h.told[1].finish->reason, FinishReason::kCancelled);
      }
      h.run_until_idle();
      EXPECT_EQ(h.told[2].tokens, expect_alone(h.executor(), options, {9, 8, 7}, p).tokens);
    }
  }
}

}  // namespace
}  // namespace pegainfer

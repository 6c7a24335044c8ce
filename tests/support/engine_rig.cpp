#include "support/engine_rig.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

#include "base/check.h"
#include "support/step_driver.h"

namespace pegainfer::testing {

EngineRig::EngineRig(const RigOptions& o) {
  write_model(o.model, o.tensors.empty() ? tiny_tensors(o.model) : o.tensors, directory_.path());
  backend_ = *create_backend({.device = "cpu", .threads = 2, .check = true});
  const auto checkpoint = Checkpoint::open(directory_.path().string(), {});
  CHECK(checkpoint.has_value(), "{}", checkpoint ? "" : checkpoint.error().message);
  auto loaded = load_model(*backend_, *checkpoint,
                           {.max_num_seqs = o.max_num_seqs,
                            .max_num_batched_tokens = o.max_num_batched_tokens,
                            .num_kv_blocks = o.num_kv_blocks,
                            .depth = o.depth},
                           {});
  CHECK(loaded.has_value(), "{}", loaded ? "" : loaded.error().message);
  model_.emplace(*std::move(loaded));
  LlmEngineOptions options{.max_num_seqs = o.max_num_seqs,
                           .max_num_batched_tokens = o.max_num_batched_tokens,
                           .enable_prefix_caching = o.prefix_caching,
                           .force_preempt_every = o.force_preempt_every};
  options.info.vocab_size = model_->config.vocab_size;
  options.info.max_model_len = model_->options.max_model_len;
  options.info.num_kv_blocks = model_->options.num_blocks;
  options.info.block_size = model_->options.block_size;
  options.info.eos_token_ids = o.eos;
  engine_ = std::make_unique<LlmEngine>(std::move(options), std::move(model_->runner));
}

EngineRig::~EngineRig() = default;

std::future<Answer> EngineRig::submit(const Ask& ask) {
  struct State {
    std::promise<Answer> done;
    Answer answer;
    std::atomic<uint64_t> id{0};
  };
  const auto state = std::make_shared<State>();
  GenerateRequest request;
  request.prompt = ask.prompt;
  request.sampling = ask.sampling;
  request.group = ask.group;
  request.cache_salt = ask.cache_salt;
  request.sink = [this, state, cancel_after = ask.cancel_after](TokenEvent e) {
    Answer& a = state->answer;
    for (const TokenId t : e.tokens) a.tokens.push_back(t);
    for (auto& l : e.logprobs) a.logprobs.push_back(std::move(l));
    for (auto& l : e.prompt_logprobs) a.prompt_logprobs.push_back(std::move(l));
    if (cancel_after >= 0 && static_cast<int>(a.tokens.size()) >= cancel_after)
      engine_->cancel(RequestId{state->id.load()});  // 0 while submit() runs: the next token asks again
    if (!e.finish) return;
    a.finish = *std::move(e.finish);
    state->done.set_value(std::move(a));
  };
  std::future<Answer> future = state->done.get_future();
  const Result<RequestId> id = engine_->submit(std::move(request));
  CHECK(id.has_value(), "{}", id ? "" : id.error().message);
  state->id = id->value;
  if (ask.cancel_after == 0) engine_->cancel(*id);
  return future;
}

std::vector<Answer> EngineRig::run(const std::vector<Ask>& asks) {
  std::vector<std::future<Answer>> futures;
  for (const Ask& ask : asks) futures.push_back(submit(ask));
  std::vector<Answer> answers;
  for (auto& future : futures) answers.push_back(future.get());
  return answers;
}

int EngineRig::num_free_blocks_at_rest() {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  EngineStats stats = engine_->stats();
  while (stats.num_free_blocks < stats.num_total_blocks && std::chrono::steady_clock::now() < until) {
    std::this_thread::yield();
    stats = engine_->stats();
  }
  return stats.num_free_blocks;
}

std::string difference(const Answer& a, const Answer& b) {
  if (a.tokens != b.tokens)
    return fmt::format("tokens [{}] against [{}]", fmt::join(a.tokens, " "), fmt::join(b.tokens, " "));
  if (std::string d = first_difference(a.logprobs, b.logprobs); !d.empty()) return "logprobs, " + d;
  if (std::string d = first_difference(a.prompt_logprobs, b.prompt_logprobs); !d.empty())
    return "prompt logprobs, " + d;
  if (a.finish.reason != b.finish.reason || a.finish.stop_token != b.finish.stop_token)
    return fmt::format("finish reason {} against {}", static_cast<int>(a.finish.reason),
                       static_cast<int>(b.finish.reason));
  if (a.finish.usage.completion_tokens != b.finish.usage.completion_tokens ||
      a.finish.usage.prompt_tokens != b.finish.usage.prompt_tokens)
    return fmt::format("usage {} + {} against {} + {}", a.finish.usage.prompt_tokens,
                       a.finish.usage.completion_tokens, b.finish.usage.prompt_tokens,
                       b.finish.usage.completion_tokens);
  return "";
}

}  // namespace pegainfer::testing

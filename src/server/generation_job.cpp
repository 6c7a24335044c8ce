#include "server/generation_job.h"

#include <fmt/core.h>

#include <algorithm>
#include <random>

namespace pegainfer::server {
namespace {

constexpr std::string_view kDone = "data: [DONE]\n\n";

// Tokens that the context leaves for an answer, and the KV cache where that is smaller: block 0 is reserved,
// and the last token is never stored.
int room_behind(size_t prompt_tokens, const EngineInfo& info) {
  const int64_t stored = static_cast<int64_t>(info.num_kv_blocks - 1) * info.block_size + 1;
  const int64_t most = std::min<int64_t>(info.max_model_len, stored);
  return static_cast<int>(most - static_cast<int64_t>(prompt_tokens));
}

// truncate_prompt_tokens; -1 is as many as leave room for the answer, or where its length is left open for a
// usual one.
size_t tokens_to_keep(const openai::GenerationOptions& options, const EngineInfo& info) {
  const int asked = *options.truncate_prompt_tokens;
  if (asked >= 0) return static_cast<size_t>(asked);
  const int usual = SamplingParams{}.max_tokens;
  const int answer =
      options.max_tokens_given ? options.sampling.max_tokens : std::min(options.sampling.max_tokens, usual);
  return static_cast<size_t>(std::max(room_behind(0, info) - answer, 1));
}

// Keeps the last `keep` tokens of each prompt, and of its text what they are.
void truncate(GenerationJob::Prompts& prompts, size_t keep, const Tokenizer& tokenizer) {
  for (size_t i = 0; i < prompts.ids.size(); ++i) {
    std::vector<TokenId>& ids = prompts.ids[i];
    if (ids.size() <= keep) continue;
    ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(keep));
    if (i < prompts.texts.size()) prompts.texts[i] = tokenizer.decode(ids, false);
  }
}

// Where there are several API keys, one client must not learn from how fast an answer comes what another has
// sent. A NUL is in no salt that a request can ask for.
std::string client_salt(const std::string& client, std::string_view asked) {
  std::string salt = client;
  if (!client.empty()) salt += '\0';
  return salt += asked;
}

}  // namespace

std::string new_answer_id(std::string_view prefix) {
  static std::mt19937_64 generator{std::random_device{}()};
  const uint64_t high = generator();
  return fmt::format("{}{:016x}{:016x}", prefix, high, generator());
}

int64_t seconds_since_1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

http::Response to_response(const openai::ApiError& error) {
  http::Response response = http::error_response(
      error.status, {.message = error.message, .type = error.type, .param = error.param, .code = error.code});
  if (error.retry_after > 0) response.headers.push_back({"retry-after", std::to_string(error.retry_after)});
  return response;
}

GenerationJob::GenerationJob(ServedModel model, http::ResponderPtr responder)
    : model_(std::move(model)), responder_(std::move(responder)) {}

// A prompt's tokens are not known yet: what is reserved is an estimate, put right by submit().
Status GenerationJob::reserve() {
  std::vector<std::unique_ptr<Admission>> places;
  for (const size_t num_tokens : estimate_tokens()) {
    for (int i = 0; i < options().n; ++i) {
      ASSIGN_OR_RETURN(places.emplace_back(), model_.engine->reserve(static_cast<int64_t>(num_tokens)));
    }
  }
  places_ = std::move(places);
  return ok_status();
}

TextOptions GenerationJob::text_options() const {
  const openai::GenerationOptions& o = options();
  return {.stop = o.stop,
          .include_stop_str_in_output = o.include_stop,
          .skip_special_tokens = o.skip_special_tokens,
          .min_tokens = o.sampling.min_tokens};
}

void GenerationJob::start(Result<Prompts> prompts, const std::function<TokenSink(size_t)>& make_sink) {
  if (!prompts) return answer_error(openai::to_api_error(prompts.error()));
  prompts_ = *std::move(prompts);
  const auto n = static_cast<size_t>(options().n);
  if (options().truncate_prompt_tokens)
    truncate(prompts_, tokens_to_keep(options(), model_.engine->info()), *model_.tokenizer);
  const TextOptions text = text_options();
  choices_.reserve(prompts_.ids.size() * n);
  for (const std::vector<TokenId>& prompt : prompts_.ids) {
    groups_.push_back(n > 1 ? model_.engine->new_group() : 0);
    for (size_t j = 0; j < n; ++j) choices_.emplace_back(TextStream(*model_.tokenizer, text, prompt));
  }
  begin();
  for (size_t i = 0; i < choices_.size(); ++i) {
    GenerateRequest request = make_request(i);
    request.sink = make_sink(i);
    auto id = model_.engine->submit(std::move(request));
    if (!id) {
      cancel();
      return answer_error(openai::to_api_error(id.error()));
    }
    choices_[i].id = *id;
    choices_[i].submitted = true;
  }
}

GenerateRequest GenerationJob::make_request(size_t choice) {
  const openai::GenerationOptions& o = options();
  const auto n = static_cast<size_t>(o.n);
  GenerateRequest request;
  request.prompt = prompts_.ids[choice / n];
  request.sampling = o.sampling;
  request.priority = o.priority;
  request.cache_salt = client_salt(client_, o.cache_salt);
  request.group = groups_[choice / n];
  request.arrival = arrival_;
  request.name = request_id_;
  request.trace_parent = trace_parent_;
  request.num_choices = options().n;
  if (choice < places_.size()) request.admission = std::move(places_[choice]);
  if (timeout_.count() > 0)
    request.deadline = arrival_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout_);
  SamplingParams& s = request.sampling;
  if (s.seed) *s.seed += choice % n;  // the choices of one prompt differ, and the same request repeats them
  adapt(s);
  if (!o.max_tokens_given) {
    s.max_tokens = std::clamp(room_behind(request.prompt.size(), model_.engine->info()), 1, s.max_tokens);
  }
  return request;
}

Usage GenerationJob::usage() const {
  Usage sum;
  const auto n = static_cast<size_t>(options().n);
  for (size_t i = 0; i < choices_.size(); ++i) {
    sum.completion_tokens += choices_[i].usage.completion_tokens;
    if (i % n != 0) continue;  // a prompt counts once, however many choices it has
    sum.prompt_tokens += static_cast<int>(prompts_.ids[i / n].size());
    sum.cached_tokens += choices_[i].usage.cached_tokens;
  }
  return sum;
}

void GenerationJob::on_event(size_t index, TokenEvent event) {
  Choice& choice = choices_[index];
  if (finished_ || choice.done) return;
  TextDelta delta = choice.stream.push(std::move(event));
  choice.usage = delta.usage;
  if (delta.cancel) model_.engine->cancel(choice.id);
  if (delta.finish) {
    choice.done = true;
    ++num_done_;
    const FinishReason reason = delta.finish->reason;
    if (reason != FinishReason::kStop && reason != FinishReason::kLength) return fail(*delta.finish);
  }
  if (options().stream && !std::exchange(streaming_, true)) responder_->begin_stream();
  add(index, std::move(delta));
  if (num_done_ == choices_.size()) finish();
}

void GenerationJob::write(const std::string& frames) {
  if (!frames.empty()) responder_->write(frames);
}

void GenerationJob::finish() {
  if (std::exchange(finished_, true)) return;
  if (options().stream) {
    write(stream_end());
    responder_->write(kDone);
    return responder_->end_stream();
  }
  http::Response response;
  response.body = whole_answer();
  responder_->send(std::move(response));
}

void GenerationJob::fail(const Finish& finish) {
  cancel();
  openai::ApiError error{500, finish.message, "server_error", "", "engine_error", 0};
  if (finish.reason == FinishReason::kTimeout) {
    error = {504, finish.message, "timeout_error", "", "request_timeout", 0};
    if (error.message.empty()) error.message = "the request's time is over";
  } else if (finish.reason == FinishReason::kCancelled) {  // not by us: the server is being stopped
    error = {503, finish.message, "unavailable_error", "", "server_shutting_down", 1};
    if (error.message.empty()) error.message = "the server is shutting down";
  }
  // Why it failed names ops and devices: that is for the log.
  const bool dead = finish.reason == FinishReason::kError && !model_.engine->stats().healthy;
  if (dead || error.message.empty()) error.message = "the engine has failed";
  answer_error(error);
}

void GenerationJob::answer_error(const openai::ApiError& error) {
  if (std::exchange(finished_, true)) return;
  if (!streaming_) return responder_->send(to_response(error));
  const std::string json =
      http::to_json({.message = error.message, .type = error.type, .param = error.param, .code = error.code});
  responder_->write("data: " + json + "\n\n");
  responder_->write(kDone);
  responder_->end_stream();
}

void GenerationJob::abandon() {
  finished_ = true;
  cancel();
}

void GenerationJob::cancel() {
  for (Choice& choice : choices_) {
    if (choice.submitted && !std::exchange(choice.done, true)) model_.engine->cancel(choice.id);
  }
}

}  // namespace pegainfer::server

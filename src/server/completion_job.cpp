#include "server/completion_job.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

namespace pegainfer::server {
namespace {

using openai::CompletionRequest;

std::string new_completion_id() {
  static std::mt19937_64 generator{std::random_device{}()};
  const uint64_t high = generator();
  return fmt::format("cmpl-{:016x}{:016x}", high, generator());
}

int64_t seconds_since_1970() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

http::Response to_response(const openai::ApiError& error) {
  http::Response response = http::error_response(
      error.status, {.message = error.message, .type = error.type, .param = error.param, .code = error.code});
  if (error.retry_after > 0) response.headers.push_back({"retry-after", std::to_string(error.retry_after)});
  return response;
}

CompletionJob::CompletionJob(ServedModel model, CompletionRequest request, http::ResponderPtr responder)
    : model_(std::move(model)),
      request_(std::move(request)),
      responder_(std::move(responder)),
      writer_(request_, new_completion_id(), seconds_since_1970()) {
  // Scoring clients ask for one token and drop its log-probability from the end of the arrays, so that one
  // has to be there even when the model would end the text here.
  eos_is_scored_ = request_.echo && request_.logprobs >= 0 && request_.sampling.max_tokens == 1 &&
                   !request_.sampling.ignore_eos;
}

std::vector<std::vector<TokenId>> CompletionJob::encode_prompts(const CompletionRequest& request,
                                                                const Tokenizer& tokenizer) {
  std::vector<std::vector<TokenId>> prompts;
  prompts.reserve(request.prompts.size());
  for (const openai::Prompt& prompt : request.prompts) {
    const auto* text = std::get_if<std::string>(&prompt);
    std::vector<TokenId> ids =
        text == nullptr ? std::get<std::vector<TokenId>>(prompt)
                        : tokenizer.encode(*text, {.add_special_tokens = request.add_special_tokens});
    const auto keep = static_cast<size_t>(request.truncate_prompt_tokens.value_or(0));
    if (keep > 0 && ids.size() > keep) ids.erase(ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(keep));
    prompts.push_back(std::move(ids));
  }
  return prompts;
}

// A prompt's tokens are not known yet: what is reserved for a text is an estimate, put right by submit().
Status CompletionJob::reserve() {
  constexpr size_t kBytesPerToken = 4;
  std::vector<std::unique_ptr<Admission>> places;
  for (const openai::Prompt& prompt : request_.prompts) {
    const auto* text = std::get_if<std::string>(&prompt);
    const size_t num_tokens =
        text == nullptr ? std::get<std::vector<TokenId>>(prompt).size() : text->size() / kBytesPerToken + 1;
    for (int i = 0; i < request_.n; ++i) {
      ASSIGN_OR_RETURN(places.emplace_back(), model_.engine->reserve(static_cast<int64_t>(num_tokens)));
    }
  }
  places_ = std::move(places);
  return ok_status();
}

void CompletionJob::start(std::vector<std::vector<TokenId>> prompts,
                          const std::function<TokenSink(size_t)>& make_sink) {
  prompts_ = std::move(prompts);
  for (size_t i = 0; i < prompts_.size(); ++i)
    groups_.push_back(request_.n > 1 ? model_.engine->new_group() : 0);
  make_choices();
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

void CompletionJob::make_choices() {
  const TextOptions options{.stop = request_.stop,
                            .include_stop_str_in_output = request_.include_stop,
                            .skip_special_tokens = request_.skip_special_tokens};
  for (size_t p = 0; p < prompts_.size(); ++p) {
    const auto* text = std::get_if<std::string>(&request_.prompts[p]);
    const bool as_sent = text != nullptr && !request_.truncate_prompt_tokens;
    if (!request_.echo) {
      prompt_texts_.emplace_back();
    } else {
      prompt_texts_.push_back(as_sent ? *text
                                      : model_.tokenizer->decode(prompts_[p], request_.skip_special_tokens));
    }
  }
  choices_.reserve(prompts_.size() * static_cast<size_t>(request_.n));
  for (size_t p = 0; p < prompts_.size(); ++p) {
    for (int j = 0; j < request_.n; ++j) {
      choices_.emplace_back(TextStream(*model_.tokenizer, options, prompts_[p]),
                            openai::ChoiceParts(request_, *model_.tokenizer, prompts_[p], prompt_texts_[p]));
    }
  }
}

GenerateRequest CompletionJob::make_request(size_t choice) {
  const auto n = static_cast<size_t>(request_.n);
  GenerateRequest request;
  request.prompt = prompts_[choice / n];
  request.sampling = request_.sampling;
  request.priority = request_.priority;
  request.cache_salt = request_.cache_salt;
  request.group = groups_[choice / n];
  request.arrival = arrival_;
  request.name = request_id_;
  if (choice < places_.size()) request.admission = std::move(places_[choice]);
  if (timeout_.count() > 0)
    request.deadline = arrival_ + std::chrono::duration_cast<std::chrono::steady_clock::duration>(timeout_);
  SamplingParams& s = request.sampling;
  if (s.seed) *s.seed += choice % n;  // the choices of one prompt differ, and the same request repeats them
  if (eos_is_scored_) s.ignore_eos = true;
  if (!request_.max_tokens_given) {
    const int room = model_.engine->info().max_model_len - static_cast<int>(request.prompt.size());
    s.max_tokens = std::clamp(room, 1, s.max_tokens);
  }
  return request;
}

Usage CompletionJob::usage() const {
  Usage sum;
  const auto n = static_cast<size_t>(request_.n);
  for (size_t i = 0; i < choices_.size(); ++i) {
    sum.completion_tokens += choices_[i].usage.completion_tokens;
    if (i % n != 0) continue;  // a prompt counts once, however many choices it has
    sum.prompt_tokens += static_cast<int>(prompts_[i / n].size());
    sum.cached_tokens += choices_[i].usage.cached_tokens;
  }
  return sum;
}

// A scored EOS came as an ordinary token, so that the engine says "length".
void CompletionJob::report_eos(TextDelta& delta) const {
  if (!eos_is_scored_ || !delta.finish || delta.tokens.empty()) return;
  const auto& eos = model_.engine->info().eos_token_ids;
  if (std::ranges::find(eos, delta.tokens.back()) != eos.end()) delta.finish->reason = FinishReason::kStop;
}

void CompletionJob::on_event(size_t index, TokenEvent event) {
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
  report_eos(delta);
  openai::ChoicePart part = choice.parts.next(std::move(delta));
  if (!request_.stream) {
    choice.whole.append(std::move(part));
  } else {
    if (!std::exchange(streaming_, true)) responder_->begin_stream();
    if (writer_.worth_sending(part)) responder_->write(writer_.chunk(static_cast<int>(index), part, usage()));
  }
  if (num_done_ == choices_.size()) finish();
}

void CompletionJob::finish() {
  if (std::exchange(finished_, true)) return;
  if (request_.stream) {
    if (request_.stream_options.include_usage) responder_->write(writer_.usage_chunk(usage()));
    responder_->write(openai::CompletionWriter::kDone);
    return responder_->end_stream();
  }
  std::vector<openai::ChoicePart> parts;
  parts.reserve(choices_.size());
  for (Choice& choice : choices_) parts.push_back(std::move(choice.whole));
  http::Response response;
  response.body = writer_.whole(parts, usage());
  responder_->send(std::move(response));
}

void CompletionJob::fail(const Finish& finish) {
  cancel();
  openai::ApiError error{500, finish.message, "server_error", "", "engine_error", 0};
  if (finish.reason == FinishReason::kTimeout) {
    error = {504, finish.message, "timeout_error", "", "request_timeout", 0};
    if (error.message.empty()) error.message = "the request's time is over";
  } else if (finish.reason == FinishReason::kCancelled) {  // not by us: the server is being stopped
    error = {503, finish.message, "unavailable_error", "", "server_shutting_down", 1};
    if (error.message.empty()) error.message = "the server is shutting down";
  }
  if (error.message.empty()) error.message = "the engine failed";
  answer_error(error);
}

void CompletionJob::answer_error(const openai::ApiError& error) {
  if (std::exchange(finished_, true)) return;
  if (!streaming_) return responder_->send(to_response(error));
  const std::string json =
      http::to_json({.message = error.message, .type = error.type, .param = error.param, .code = error.code});
  responder_->write("data: " + json + "\n\n");
  responder_->write(openai::CompletionWriter::kDone);
  responder_->end_stream();
}

void CompletionJob::abandon() {
  finished_ = true;
  cancel();
}

void CompletionJob::cancel() {
  for (Choice& choice : choices_) {
    if (choice.submitted && !std::exchange(choice.done, true)) model_.engine->cancel(choice.id);
  }
}

}  // namespace pegainfer::server

#include "server/service.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/log.h"
#include "server/completion_job.h"
#include "server/openai/models.h"
#include "server/openai/tokenize.h"
#include "server/version.h"

namespace pegainfer::server {
namespace {

// Prompts up to this many bytes are tokenized at once: it takes less than a millisecond or two.
constexpr size_t kEncodeInline = 16U << 10U;

http::Response json_response(std::string body) {
  http::Response response;
  response.body = std::move(body);
  return response;
}

void answer_error(http::Responder& responder, const Error& error) {
  responder.send(to_response(openai::to_api_error(error)));
}

openai::ApiError unavailable(std::string message, std::string code) {
  return {503, std::move(message), "unavailable_error", "", std::move(code), 1};
}

openai::ModelCard model_card(const ServedModel& model) {
  const EngineInfo& info = model.engine->info();
  return {.created = model.created, .max_model_len = info.max_model_len, .vocab_size = info.vocab_size};
}

}  // namespace

Service::Service(const ServiceOptions& options, std::shared_ptr<const LoadStatus> load_status)
    : options_(options), load_status_(std::move(load_status)) {}

void Service::set_model(ServedModel model) {
  if (model.chat == nullptr) {
    auto none = std::make_shared<chat::ChatModel>();
    none->no_template = "this model does not chat";
    model.chat = std::move(none);
  }
  model_ = std::move(model);
}

void Service::attach(http::Poster poster) {
  poster_ = poster;
  events_ = std::make_shared<EventBox>(std::move(poster),
                                       [this](EventBox::Item&& item) { deliver(std::move(item)); });
}

// ------------------------------------------------------------------------------------------ state of the
// server

openai::ApiError Service::loading_error() const {
  constexpr double kMiB = 1024.0 * 1024.0;
  const uint64_t total = load_status_ == nullptr ? 0 : load_status_->bytes_total.load();
  if (total == 0) return unavailable("The model is loading", "model_loading");
  const uint64_t done = load_status_->bytes_done.load();
  return unavailable(fmt::format("The model is loading: {:.0f}% ({:.0f} of {:.0f} MiB)",
                                 100.0 * static_cast<double>(done) / static_cast<double>(total),
                                 static_cast<double>(done) / kMiB, static_cast<double>(total) / kMiB),
                     "model_loading");
}

std::optional<openai::ApiError> Service::unready() const {
  if (draining_) return unavailable("The server is shutting down", "server_shutting_down");
  if (!model_) return loading_error();
  const EngineStats stats = model_->engine->stats();
  if (!stats.healthy) return unavailable("The engine has failed", "engine_unavailable");
  if (stats.seconds_since_progress > options_.engine_stall_timeout.count()) {
    return unavailable(
        fmt::format("The engine has made no progress for {:.0f} s", stats.seconds_since_progress),
        "engine_unavailable");
  }
  return std::nullopt;
}

const ServedModel* Service::ready_model(http::Responder& responder) const {
  if (model_) return &*model_;
  responder.send(to_response(loading_error()));
  return nullptr;
}

void Service::health(const http::Request& /*request*/, http::ResponderPtr responder) {
  if (const auto error = unready()) return responder->send(to_response(*error));
  responder->send(json_response(R"({"status":"ok"})"));
}

void Service::live(const http::Request& /*request*/, http::ResponderPtr responder) {
  responder->send(json_response(R"({"status":"ok"})"));
}

void Service::version(const http::Request& /*request*/, http::ResponderPtr responder) {
  responder->send(json_response(fmt::format(R"({{"version":"{}"}})", kVersion)));
}

// --------------------------------------------------------------------------------------------------
// requests that generate

void Service::completions(const http::Request& request, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  auto parsed = openai::parse_completion(request.body, request_context(*model));
  if (!parsed) return answer_error(*responder, parsed.error());
  accept(std::make_unique<CompletionJob>(*model, *std::move(parsed), responder), request, responder);
}

openai::RequestContext Service::request_context(const ServedModel& model) const {
  return {.model_names = model.names,
          .engine = model.engine->info(),
          .defaults = model.defaults,
          .limits = options_.api};
}

void Service::accept(std::unique_ptr<GenerationJob> job, const http::Request& request,
                     const http::ResponderPtr& responder) {
  if (const Status reserved = job->reserve(); !reserved) {
    openai::ApiError error = openai::to_api_error(reserved.error());
    if (error.status == 429) error.retry_after = retry_after();
    return responder->send(to_response(error));
  }
  const openai::GenerationOptions& asked = job->options();
  job->set_timeout(asked.timeout ? std::chrono::duration<double>(*asked.timeout) : options_.request_timeout);
  job->set_client(request.client);
  job->set_request_id(asked.request_id.empty() ? request.request_id : asked.request_id);
  if (const std::string* parent = request.header("traceparent")) job->set_trace_parent(*parent);
  const uint64_t id = ++num_jobs_started_;
  responder->on_disconnect([this, id] { abandon(id); });
  const bool short_text = job->text_bytes() <= kEncodeInline;
  GenerationJob::Encoder encode = job->encoder();
  jobs_[id] = std::move(job);
  if (short_text) return start_job(id, encode());

  const bool accepted = worker_.run([this, id, encode = std::move(encode), poster = *poster_] {
    poster.post([this, id, prompts = encode()]() mutable { start_job(id, std::move(prompts)); });
  });
  if (accepted) return;
  jobs_.erase(id);
  answer_error(*responder, resource_exhausted("too many long prompts are waiting to be tokenized"));
}

void Service::start_job(uint64_t id, Result<GenerationJob::Prompts> prompts) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  found->second->start(std::move(prompts), [this, id](size_t choice) -> TokenSink {
    return [id, choice, events = events_](TokenEvent event) { events->put({id, choice, std::move(event)}); };
  });
  erase_if_finished(id);
}

void Service::deliver(EventBox::Item item) {
  const auto found = jobs_.find(item.job);
  if (found == jobs_.end()) return;
  found->second->on_event(item.choice, std::move(item.event));
  erase_if_finished(item.job);
}

// When a place in the queue may be free again: those that wait, by how many run at once and how long one
// takes of late.
int Service::retry_after() const {
  const EngineStats stats = model_->engine->stats();
  const double rounds = static_cast<double>(stats.num_waiting) / std::max(stats.num_running, 1);
  return static_cast<int>(std::clamp(std::ceil(rounds * mean_job_seconds_), 1.0, 60.0));
}

// May be called out of a write of the job itself, so it is destroyed a little later.
void Service::abandon(uint64_t id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  LOG_DEBUG("{}: the client has left", found->second->request_id());
  found->second->abandon();
  poster_->post([this, id] { jobs_.erase(id); });
}

void Service::erase_if_finished(uint64_t id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end() || !found->second->finished()) return;
  constexpr double kWeight = 0.05;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - found->second->arrival();
  mean_job_seconds_ += kWeight * (took.count() - mean_job_seconds_);
  jobs_.erase(found);
}

// ------------------------------------------------------------------------------------------ operations

void Service::reset_prefix_cache(const http::Request& /*request*/, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  model->engine->reset_prefix_cache();
  responder->send(json_response("{}"));
}

// ------------------------------------------------------------------------------------- models, tokenizer

void Service::models(const http::Request& /*request*/, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  responder->send(json_response(openai::format_models(model->names, model_card(*model))));
}

void Service::model(const http::Request& request, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  auto card = openai::format_model(request.path_tail, model->names, model_card(*model));
  if (!card) return answer_error(*responder, card.error());
  responder->send(json_response(*std::move(card)));
}

void Service::tokenize(const http::Request& request, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  auto parsed = openai::parse_tokenize(request.body, model->names);
  if (parsed && parsed->is_chat) return tokenize_chat(request, responder);
  if (!parsed) return answer_error(*responder, parsed.error());
  const int max_model_len = model->engine->info().max_model_len;
  const size_t bytes = parsed->text.size();
  const auto encode = [r = *std::move(parsed), tokenizer = model->tokenizer,
                       max_model_len]() -> Result<std::string> {
    return openai::format_tokenize(r, tokenizer->encode(r.text, r.options), max_model_len, *tokenizer);
  };
  answer_with(encode, bytes, responder);
}

void Service::answer_with(std::function<Result<std::string>()> work, size_t bytes,
                          const http::ResponderPtr& responder) {
  const auto answer = [](http::Responder& to, Result<std::string> body) {
    body ? to.send(json_response(*std::move(body))) : answer_error(to, body.error());
  };
  if (bytes <= kEncodeInline) return answer(*responder, work());

  // The responder must not go to another thread: it waits here under a number.
  const uint64_t id = ++num_jobs_started_;
  waiting_[id] = responder;
  responder->on_disconnect([this, id] { waiting_.erase(id); });
  const bool accepted = worker_.run([this, id, answer, work = std::move(work), poster = *poster_] {
    poster.post([this, id, answer, body = work()]() mutable {
      const auto found = waiting_.find(id);
      if (found == waiting_.end()) return;
      answer(*found->second, std::move(body));
      waiting_.erase(id);
    });
  });
  if (accepted) return;
  waiting_.erase(id);
  answer_error(*responder, resource_exhausted("too many long texts are waiting to be tokenized"));
}

void Service::detokenize(const http::Request& request, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  const auto tokens = openai::parse_detokenize(request.body, model->names, model->engine->info().vocab_size);
  if (!tokens) return answer_error(*responder, tokens.error());
  responder->send(json_response(openai::format_detokenize(model->tokenizer->decode(*tokens, false))));
}

}  // namespace pegainfer::server

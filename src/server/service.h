// What stands behind the routes: the model, once it is there, and the requests under way. Lives on the HTTP
// server's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "server/event_box.h"
#include "server/generation_job.h"
#include "server/http/responder.h"
#include "server/http/server.h"
#include "server/options.h"
#include "server/served_model.h"
#include "server/watching.h"
#include "server/worker.h"

namespace pegainfer::server {

class Service {
 public:
  explicit Service(const ServiceOptions& options, std::shared_ptr<const LoadStatus> load_status = nullptr);

  // Before the first request: how the engine's thread reaches the server's.
  void attach(http::Poster poster);
  void set_watching(Watching watching) { watching_ = std::move(watching); }
  // Until then every request that needs a model is answered 503.
  void set_model(ServedModel model);
  // From now on /health is 503, for load balancers; requests that still arrive are the engine's to refuse.
  void begin_drain() { draining_ = true; }
  [[nodiscard]] const std::optional<ServedModel>& model() const { return model_; }
  [[nodiscard]] size_t num_jobs() const { return jobs_.size(); }

  void completions(const http::Request& request, http::ResponderPtr responder);
  void chat_completions(const http::Request& request, http::ResponderPtr responder);
  void apply_template(const http::Request& request, http::ResponderPtr responder);
  void render_chat(const http::Request& request, http::ResponderPtr responder);
  void tokenize(const http::Request& request, http::ResponderPtr responder);
  void detokenize(const http::Request& request, http::ResponderPtr responder);
  void models(const http::Request& request, http::ResponderPtr responder);
  void model(const http::Request& request, http::ResponderPtr responder);
  void health(const http::Request& request, http::ResponderPtr responder);
  void live(const http::Request& request, http::ResponderPtr responder);
  void version(const http::Request& request, http::ResponderPtr responder);
  void metrics(const http::Request& request, http::ResponderPtr responder);
  void reset_prefix_cache(const http::Request& request, http::ResponderPtr responder);
  // What other servers' tools ask for (service_info.cpp).
  void load(const http::Request& request, http::ResponderPtr responder);
  void load_list(const http::Request& request, http::ResponderPtr responder);
  void server_info(const http::Request& request, http::ResponderPtr responder);
  void model_info(const http::Request& request, http::ResponderPtr responder);
  void props(const http::Request& request, http::ResponderPtr responder);
  void start_profile(const http::Request& request, http::ResponderPtr responder);
  void stop_profile(const http::Request& request, http::ResponderPtr responder);

 private:
  // Null after an answer was given: there is no model yet, or no longer.
  const ServedModel* ready_model(http::Responder& responder) const;
  [[nodiscard]] std::optional<openai::ApiError> unready() const;
  [[nodiscard]] openai::ApiError loading_error() const;
  [[nodiscard]] openai::RequestContext request_context(const ServedModel& model) const;
  // Takes a place for it in the queue, makes its prompts and starts it; or answers with the error.
  void accept(std::unique_ptr<GenerationJob> job, const http::Request& request,
              const http::ResponderPtr& responder);
  // Answers with the body that `work` makes; where that takes long it is made on the worker's thread.
  void answer_with(std::function<Result<std::string>()> work, size_t bytes,
                   const http::ResponderPtr& responder);
  void tokenize_chat(const http::Request& request, const http::ResponderPtr& responder);
  void start_job(uint64_t job, Result<GenerationJob::Prompts> prompts);
  void deliver(EventBox::Item item);
  [[nodiscard]] int retry_after() const;
  void abandon(uint64_t job);
  void erase_if_finished(uint64_t job);

  ServiceOptions options_;
  std::shared_ptr<const LoadStatus> load_status_;
  std::optional<http::Poster> poster_;
  std::shared_ptr<EventBox> events_;  // sinks hold it, too
  std::optional<ServedModel> model_;
  Watching watching_;
  bool draining_ = false;
  uint64_t num_jobs_started_ = 0;
  double mean_job_seconds_ = 0;  // of late, for retry-after
  std::unordered_map<uint64_t, std::unique_ptr<GenerationJob>> jobs_;
  std::unordered_map<uint64_t, http::ResponderPtr> waiting_;  // for the worker
  Worker worker_;                                             // last: its work refers to what is above
};

}  // namespace pegainfer::server

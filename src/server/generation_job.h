// One request that generates text, under way: its prompts are submitted, its events become text deltas. What
// the endpoints have in common; each one derives its own and turns deltas into JSON. Lives on the server's
// thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/text_stream.h"
#include "server/http/responder.h"
#include "server/openai/api_error.h"
#include "server/openai/generation_options.h"
#include "server/served_model.h"

namespace pegainfer::server {

class GenerationJob {
 public:
  struct Prompts {
    std::vector<std::vector<TokenId>> ids;  // [prompts]
    std::vector<std::string> texts;         // [prompts], or empty: what they were made of, for those who ask
  };
  // Makes the prompts. It owns what it needs, so that it may run on any thread and outlive the job.
  using Encoder = std::function<Result<Prompts>()>;

  GenerationJob(const GenerationJob&) = delete;
  GenerationJob& operator=(const GenerationJob&) = delete;
  virtual ~GenerationJob() { cancel(); }

  [[nodiscard]] virtual const openai::GenerationOptions& options() const = 0;
  [[nodiscard]] virtual Encoder encoder() const = 0;
  [[nodiscard]] virtual size_t text_bytes() const = 0;  // that the encoder works on

  // Takes the places in the engine's queue that the choices need, before anything is tokenized; an error
  // (the queue is full) takes none.
  Status reserve();
  // How long the request may take in all; 0: no limit. Before start().
  void set_timeout(std::chrono::duration<double> timeout) { timeout_ = timeout; }
  void set_request_id(std::string id) { request_id_ = std::move(id); }
  [[nodiscard]] const std::string& request_id() const { return request_id_; }
  // The client's traceparent header.
  void set_trace_parent(std::string text) { trace_parent_ = std::move(text); }
  // Whose it is (http::Request::client): what it leaves in the prefix cache is that client's. Before start().
  void set_client(std::string client) { client_ = std::move(client); }
  [[nodiscard]] std::chrono::steady_clock::time_point arrival() const { return arrival_; }

  // Submits every choice, or answers with the error. `make_sink(i)`: where the events of choice i go.
  void start(Result<Prompts> prompts, const std::function<TokenSink(size_t)>& make_sink);
  void on_event(size_t choice, TokenEvent event);
  // The client has left.
  void abandon();
  // Nothing more will be said; the job can go.
  [[nodiscard]] bool finished() const { return finished_; }

 protected:
  GenerationJob(ServedModel model, http::ResponderPtr responder);

  // About how many tokens each prompt has, before it is known.
  [[nodiscard]] virtual std::vector<size_t> estimate_tokens() const = 0;
  // The prompts are known: make what turns deltas into JSON.
  virtual void begin() = 0;
  [[nodiscard]] virtual TextOptions text_options() const;
  // A last word on how a choice is sampled.
  virtual void adapt(SamplingParams& /*sampling*/) const {}
  // A choice's news, in order; the last one has `finish`. Streams say so at once, with write().
  virtual void add(size_t choice, TextDelta delta) = 0;
  // All choices have finished: the whole answer, or what ends the stream besides [DONE].
  virtual std::string whole_answer() = 0;
  virtual std::string stream_end() = 0;

  [[nodiscard]] const ServedModel& model() const { return model_; }
  [[nodiscard]] const Prompts& prompts() const { return prompts_; }
  [[nodiscard]] size_t num_choices() const { return choices_.size(); }
  [[nodiscard]] Usage usage() const;  // of all choices so far
  void write(const std::string& frames);

 private:
  struct Choice {
    explicit Choice(TextStream text_stream) : stream(std::move(text_stream)) {}
    RequestId id;
    TextStream stream;
    Usage usage;
    bool submitted = false;
    bool done = false;
  };

  [[nodiscard]] GenerateRequest make_request(size_t choice);
  void finish();
  void fail(const Finish& finish);
  void answer_error(const openai::ApiError& error);
  void cancel();

  ServedModel model_;
  http::ResponderPtr responder_;
  std::chrono::steady_clock::time_point arrival_ = std::chrono::steady_clock::now();
  std::chrono::duration<double> timeout_{0};
  std::string request_id_;
  std::string trace_parent_;
  std::string client_;
  std::vector<std::unique_ptr<Admission>> places_;  // [choices], until they are submitted
  std::vector<uint64_t> groups_;                    // [prompts], 0: one choice
  Prompts prompts_;
  std::vector<Choice> choices_;
  size_t num_done_ = 0;
  bool streaming_ = false;
  bool finished_ = false;
};

http::Response to_response(const openai::ApiError& error);

// "<prefix><32 hexadecimal digits>".
std::string new_answer_id(std::string_view prefix);
int64_t seconds_since_1970();

}  // namespace pegainfer::server

// One /v1/completions request under way: its prompts are submitted, its events become JSON. Lives on the
// server's thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/http/responder.h"
#include "server/openai/api_error.h"
#include "server/openai/completion_request.h"
#include "server/openai/completion_writer.h"
#include "server/served_model.h"

namespace pegainfer::server {

class CompletionJob {
 public:
  CompletionJob(ServedModel model, openai::CompletionRequest request, http::ResponderPtr responder);
  CompletionJob(const CompletionJob&) = delete;
  CompletionJob& operator=(const CompletionJob&) = delete;
  ~CompletionJob() { cancel(); }

  // Any thread, before start(): the token ids of the prompts, cut to truncate_prompt_tokens.
  static std::vector<std::vector<TokenId>> encode_prompts(const openai::CompletionRequest& request,
                                                          const Tokenizer& tokenizer);
  [[nodiscard]] const openai::CompletionRequest& request() const { return request_; }

  // Takes the places in the engine's queue that the choices need, before anything is tokenized; an error
  // (the queue is full) takes none.
  Status reserve();
  // How long the request may take in all; 0: no limit. Before start().
  void set_timeout(std::chrono::duration<double> timeout) { timeout_ = timeout; }
  void set_request_id(std::string id) { request_id_ = std::move(id); }
  [[nodiscard]] std::chrono::steady_clock::time_point arrival() const { return arrival_; }

  // Submits every choice, or answers with the error. `make_sink(i)`: where the events of choice i go.
  void start(std::vector<std::vector<TokenId>> prompts, const std::function<TokenSink(size_t)>& make_sink);
  void on_event(size_t choice, TokenEvent event);
  // The client has left.
  void abandon();
  // Nothing more will be said; the job can go.
  [[nodiscard]] bool finished() const { return finished_; }

 private:
  struct Choice {
    Choice(TextStream text_stream, const openai::ChoiceParts& choice_parts)
        : stream(std::move(text_stream)), parts(choice_parts) {}
    RequestId id;
    TextStream stream;
    openai::ChoiceParts parts;
    openai::ChoicePart whole;  // when not streaming
    Usage usage;
    bool submitted = false;
    bool done = false;
  };

  void make_choices();
  [[nodiscard]] GenerateRequest make_request(size_t choice);
  [[nodiscard]] Usage usage() const;
  void report_eos(TextDelta& delta) const;
  void finish();
  void fail(const Finish& finish);
  void answer_error(const openai::ApiError& error);
  void cancel();

  ServedModel model_;
  openai::CompletionRequest request_;
  http::ResponderPtr responder_;
  openai::CompletionWriter writer_;
  std::chrono::steady_clock::time_point arrival_ = std::chrono::steady_clock::now();
  std::chrono::duration<double> timeout_{0};
  std::string request_id_;
  std::vector<std::unique_ptr<Admission>> places_;  // [choices], until they are submitted
  std::vector<uint64_t> groups_;                    // [prompts], 0: one choice
  std::vector<std::vector<TokenId>> prompts_;
  std::vector<std::string> prompt_texts_;  // [prompts], for echo
  std::vector<Choice> choices_;
  size_t num_done_ = 0;
  bool eos_is_scored_ = false;
  bool streaming_ = false;
  bool finished_ = false;
};

http::Response to_response(const openai::ApiError& error);

}  // namespace pegainfer::server

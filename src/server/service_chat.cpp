// The endpoints that read a conversation: chats, and what a chat would be to the model.
#include <fmt/core.h>

#include <memory>
#include <utility>

#include "base/json.h"
#include "server/chat_job.h"
#include "server/openai/chat_request.h"
#include "server/openai/tokenize.h"
#include "server/service.h"

namespace pegainfer::server {
namespace {

using PromptWork = std::function<Result<openai::ChatPrompt>()>;

PromptWork prompt_work(const ServedModel& model, std::shared_ptr<const openai::ChatRequest> request) {
  return [request = std::move(request), chat = model.chat, tokenizer = model.tokenizer] {
    return openai::make_chat_prompt(*request, *chat, *tokenizer);
  };
}

}  // namespace

void Service::chat_completions(const http::Request& request, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  auto parsed = openai::parse_chat(request.body, request_context(*model), *model->chat);
  if (!parsed) return responder->send(to_response(openai::to_api_error(parsed.error())));
  accept(std::make_unique<ChatJob>(*model, *std::move(parsed), responder), request, responder);
}

void Service::apply_template(const http::Request& request, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  auto parsed = openai::parse_chat(request.body, request_context(*model), *model->chat);
  if (!parsed) return responder->send(to_response(openai::to_api_error(parsed.error())));
  const auto chat = std::make_shared<const openai::ChatRequest>(*std::move(parsed));
  const auto work = [prompt = prompt_work(*model, chat)]() -> Result<std::string> {
    ASSIGN_OR_RETURN(const openai::ChatPrompt made, prompt());
    return R"({"prompt":)" + json::quote(made.text) + "}";
  };
  answer_with(work, chat->text_bytes, responder);
}

void Service::render_chat(const http::Request& request, http::ResponderPtr responder) {
  const ServedModel* model = ready_model(*responder);
  if (model == nullptr) return;
  auto parsed = openai::parse_chat(request.body, request_context(*model), *model->chat);
  if (!parsed) return responder->send(to_response(openai::to_api_error(parsed.error())));
  const auto chat = std::make_shared<const openai::ChatRequest>(*std::move(parsed));
  const auto work = [prompt = prompt_work(*model, chat)]() -> Result<std::string> {
    ASSIGN_OR_RETURN(const openai::ChatPrompt made, prompt());
    std::string out = R"({"prompt":)" + json::quote(made.text) + R"(,"prompt_token_ids":[)";
    for (size_t i = 0; i < made.ids.size(); ++i) out += (i > 0 ? "," : "") + std::to_string(made.ids[i]);
    return out + "]}";
  };
  answer_with(work, chat->text_bytes, responder);
}

void Service::tokenize_chat(const http::Request& request, const http::ResponderPtr& responder) {
  auto parsed = openai::parse_chat(request.body, request_context(*model_), *model_->chat);
  auto asked = openai::parse_tokenize(request.body, model_->names);
  if (!parsed || !asked)
    return responder->send(to_response(openai::to_api_error(parsed ? asked.error() : parsed.error())));
  const auto chat = std::make_shared<const openai::ChatRequest>(*std::move(parsed));
  const auto work = [prompt = prompt_work(*model_, chat), asked = *std::move(asked),
                     tokenizer = model_->tokenizer,
                     max_model_len = model_->engine->info().max_model_len]() -> Result<std::string> {
    ASSIGN_OR_RETURN(const openai::ChatPrompt made, prompt());
    return openai::format_tokenize(asked, made.ids, max_model_len, *tokenizer);
  };
  answer_with(work, chat->text_bytes, responder);
}

}  // namespace pegainfer::server

#include "apps/conversation.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/json.h"

namespace pegainfer::apps {

std::string conversation_json(const std::vector<ChatTurn>& turns) {
  std::string out = "{\"messages\": [";
  for (size_t i = 0; i < turns.size(); ++i) {
    const ChatTurn& turn = turns[i];
    out += fmt::format("{}\n  {{\"role\": {}, ", i > 0 ? "," : "", json::quote(turn.role));
    if (!turn.reasoning.empty()) out += "\"reasoning_content\": " + json::quote(turn.reasoning) + ", ";
    out += "\"content\": " + json::quote(turn.content) + "}";
  }
  return out + "\n]}\n";
}

Result<openai::ChatPrompt> chat_prompt(std::string_view body, const chat::ChatModel& model,
                                       const Tokenizer& tokenizer, const EngineInfo& info) {
  const std::vector<std::string> names{info.model_name, "*"};
  ASSIGN_OR_RETURN(
      const openai::ChatRequest request,
      openai::parse_chat(body, {.model_names = names, .engine = info, .defaults = {}, .limits = {}}, model));
  return openai::make_chat_prompt(request, model, tokenizer);
}

Result<ChatReply> chat_reply(const std::vector<ChatTurn>& turns, const ChatAsk& ask, Engine& engine,
                             const Tokenizer& tokenizer, const chat::ChatModel& model,
                             const std::function<void(const chat::OutputDelta&)>& on_delta) {
  ASSIGN_OR_RETURN(const openai::ChatPrompt prompt,
                   chat_prompt(conversation_json(turns), model, tokenizer, engine.info()));
  GenerationRequest request;
  request.prompt = prompt.ids;
  request.sampling = ask.sampling;
  request.text.stop = ask.stop;
  const int room = std::max(1, engine.info().max_model_len - static_cast<int>(prompt.ids.size()));
  request.sampling.max_tokens = ask.max_tokens > 0 ? ask.max_tokens : room;
  if (model.reasoning) request.text.kept_tokens = model.kept_tokens;

  const auto parser = chat::make_output_parser(
      {.reasoning = model.reasoning, .starts_in_reasoning = openai::opens_reasoning(prompt.text, model)});
  ChatReply reply;
  reply.turn.role = "assistant";
  const auto take = [&](const chat::OutputDelta& delta) {
    reply.turn.content += delta.content;
    reply.turn.reasoning += delta.reasoning;
    if (!delta.empty() && on_delta) on_delta(delta);
  };
  ASSIGN_OR_RETURN(reply.generation, run_generation(engine, tokenizer, request, [&](std::string_view text) {
                     take(parser->push(text));
                   }));
  take(parser->finish());
  return reply;
}

}  // namespace pegainfer::apps

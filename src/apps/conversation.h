// A conversation outside the server: its messages, and what they are to the model.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/generation.h"
#include "chat/chat_model.h"
#include "chat/output_parser.h"
#include "pegainfer/engine.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"
#include "server/openai/chat_request.h"

namespace pegainfer::apps {

struct ChatTurn {
  std::string role;  // system, user, assistant
  std::string content;
  std::string reasoning;
};

// {"messages": [...]}, as /v1/chat/completions takes it; one message a line.
std::string conversation_json(const std::vector<ChatTurn>& turns);

// A request of the endpoint (JSON) to the prompt, without a server.
Result<openai::ChatPrompt> chat_prompt(std::string_view body, const chat::ChatModel& model,
                                       const Tokenizer& tokenizer, const EngineInfo& info);

struct ChatReply {
  ChatTurn turn;
  Generation generation;
};
// One answer. `room`: the most tokens it may have, or 0 for what the context leaves.
struct ChatAsk {
  SamplingParams sampling;
  std::vector<std::string> stop;
  int max_tokens = 0;
};
Result<ChatReply> chat_reply(const std::vector<ChatTurn>& turns, const ChatAsk& ask, Engine& engine,
                             const Tokenizer& tokenizer, const chat::ChatModel& model,
                             const std::function<void(const chat::OutputDelta&)>& on_delta);

}  // namespace pegainfer::apps

// POST /v1/chat/completions: from the body to what the template, the engine and the writer need.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_model.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"
#include "server/openai/chat_tools.h"
#include "server/openai/generation_options.h"

namespace pegainfer::openai {

struct ChatRequest : GenerationOptions {
  std::shared_ptr<const boost::json::array> messages;
  ChatTools tools;
  std::shared_ptr<const boost::json::array> documents;  // null: none
  std::shared_ptr<const boost::json::object> kwargs;    // the server's and the request's, together
  std::shared_ptr<const chat::ChatTemplate> chat_template;
  size_t text_bytes = 0;  // of the body: what rendering and tokenizing work on

  bool add_generation_prompt = true;
  bool continue_final_message = false;
  bool add_special_tokens = false;
  std::string role;       // of the answer
  std::string echo_text;  // what `echo` puts before the answer
  bool logprobs = false;
  int top_logprobs = 0;
  bool include_reasoning = true;
  bool return_prompt_text = false;
};

// `model`: what the server knows of chatting; it has a template or says why not.
Result<ChatRequest> parse_chat(std::string_view body, const RequestContext& context,
                               const chat::ChatModel& model);

// A chat as the model reads it.
struct ChatPrompt {
  std::string text;
  std::vector<TokenId> ids;
};
// Any thread.
Result<ChatPrompt> make_chat_prompt(const ChatRequest& request, const chat::ChatModel& model,
                                    const Tokenizer& tokenizer);

// Whether the prompt ends within reasoning: the template has opened it for the model.
bool opens_reasoning(std::string_view prompt, const chat::ChatModel& model);

// What the server writes for the model so that a tool is called (tool_choice required or a name): the
// beginning of a call in its format. "" where it cannot be said.
std::string call_opening(const chat::ChatModel& model, const ChatTools& tools);

}  // namespace pegainfer::openai

// What a model needs to chat: its templates, and how what it says is to be read.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/chat_template.h"
#include "chat/output_parser.h"
#include "pegainfer/ids.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"

namespace pegainfer::chat {

// What a checkpoint has of it.
struct ChatFiles {
  std::string chat_template;                          // "" when there is none
  std::string tool_template;                          // of requests with tools; "": the same
  std::map<std::string, std::string> special_tokens;  // bos_token, eos_token, ...
};

enum class ReasoningField : uint8_t { kReasoningContent, kReasoning, kBoth };

// What a server's operator says about it.
struct ChatOptions {
  std::string tool_parser = "auto";       // auto, none, or a format's name
  std::string reasoning_parser = "auto";  // auto, none, think
  ReasoningField reasoning_field = ReasoningField::kReasoningContent;
  // Special tokens written in messages are tokens, as with transformers, and not text.
  bool allow_special_in_content = false;
  bool trust_request_template = false;                // chat_template of a request is used
  std::shared_ptr<const boost::json::object> kwargs;  // chat_template_kwargs of every request; null: none
};

struct ChatModel {
  std::shared_ptr<const ChatTemplate> plain;       // null: see no_template
  std::shared_ptr<const ChatTemplate> with_tools;  // may be the same
  std::string no_template;                         // why there is none
  std::map<std::string, std::string> special_tokens;
  ChatOptions options;
  std::string tool_format;  // "": text is never a tool call
  std::optional<ReasoningFormat> reasoning;
  // Special tokens whose text is part of what the parsers read; ascending.
  std::vector<TokenId> kept_tokens;
  // tokens_named_in() the templates; nothing of a request becomes one of them, nor a special token.
  // Ascending.
  std::vector<TokenId> control_tokens;
};

Status check_options(const ChatOptions& options);

// An error: an option names what does not exist. A template that does not compile is none, with the reason.
Result<std::shared_ptr<const ChatModel>> make_chat_model(const ChatFiles& files, const ChatOptions& options,
                                                         const Tokenizer& tokenizer);

// "auto", "none", "think" and their names elsewhere (qwen3, deepseek_r1): the name here; "" when unknown.
std::string canonical_reasoning_parser(std::string_view name);
// A format's name, with vLLM's and SGLang's names for them; "" when unknown.
std::string canonical_tool_parser(std::string_view name);

}  // namespace pegainfer::chat

// The flags of chatting: templates, tools, reasoning. `serve`, `generate --chat`, `chat` and `template` share
// them.
#pragma once

#include <memory>
#include <string>

#include "chat/chat_model.h"
#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps {

struct ChatFlags {
  std::string chat_template;  // a file, or the template itself
  std::string default_kwargs;
  std::string tool_parser = "auto";
  std::string reasoning_parser = "auto";
  std::string reasoning_field = "reasoning_content";
  bool allow_special = false;
  bool trust_request_template = false;
  bool enable_auto_tool_choice = false;  // vLLM's; here tools are always possible
};

// `flags` must outlive the parsing.
void add_chat_flags(CLI::App& command, ChatFlags& flags);

// The flags checked and the template's file read: before anything large is loaded.
struct ChatSetup {
  std::string chat_template;  // "": the model's
  chat::ChatOptions options;
};
Result<ChatSetup> to_chat_setup(const ChatFlags& flags);

// `files` are the model's own; a template of the flags goes before them, and has to compile.
Result<std::shared_ptr<const chat::ChatModel>> make_chat_model(const ChatSetup& setup, chat::ChatFiles files,
                                                               const Tokenizer& tokenizer);

}  // namespace pegainfer::apps

#include "apps/chat_flags.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"

namespace pegainfer::apps {
namespace {

constexpr const char* kChatGroup = "Chat";
constexpr uint64_t kMaxTemplateBytes = 4 << 20;

// As in vLLM: a template is recognised by its braces, anything else is a file.
Result<std::string> read_template(const std::string& flag) {
  if (flag.empty()) return std::string();
  std::error_code error;
  if (std::filesystem::exists(flag, error)) return read_text_file(flag, kMaxTemplateBytes);
  if (flag.find_first_of("{}\n") != std::string::npos) return flag;
  return not_found(fmt::format("--chat-template {}: there is no such file, and it is no template", flag));
}

Result<std::shared_ptr<const json::Object>> parse_kwargs(const std::string& flag) {
  if (flag.empty()) return std::shared_ptr<const json::Object>();
  auto value = json::parse(flag);
  if (!value)
    return invalid_argument("--default-chat-template-kwargs: " + value.error().message,
                            "--default-chat-template-kwargs");
  if (!value->is_object())
    return invalid_argument(fmt::format("--default-chat-template-kwargs is {}; it must be a JSON object",
                                        json::kind_name(*value)),
                            "--default-chat-template-kwargs");
  return std::make_shared<const json::Object>(value->get_object());
}

Result<chat::ReasoningField> parse_field(const std::string& name) {
  if (name == "reasoning_content") return chat::ReasoningField::kReasoningContent;
  if (name == "reasoning") return chat::ReasoningField::kReasoning;
  if (name == "both") return chat::ReasoningField::kBoth;
  return invalid_argument("--reasoning-field " + name + ": it must be reasoning_content, reasoning or both",
                          "--reasoning-field");
}

}  // namespace

void add_chat_flags(CLI::App& command, ChatFlags& flags) {
  command
      .add_option("--chat-template,--chat-template-file", flags.chat_template,
                  "A file with the template of chats (Jinja), or its text; default: the model's")
      ->group(kChatGroup);
  command
      .add_option("--default-chat-template-kwargs,--chat-template-kwargs", flags.default_kwargs,
                  "Variables of every chat's template, as {\"enable_thinking\": false}")
      ->group(kChatGroup);
  command
      .add_option("--tool-call-parser", flags.tool_parser,
                  "How the model writes tool calls: auto (by its template), none, hermes, qwen3_coder, "
                  "llama3_json, pythonic, mistral, deepseek_v3 or json")
      ->capture_default_str()
      ->group(kChatGroup);
  command
      .add_option("--reasoning-parser", flags.reasoning_parser,
                  "How it writes reasoning: auto (by its template), none or think (qwen3, deepseek_r1)")
      ->capture_default_str()
      ->group(kChatGroup);
  command
      .add_option("--reasoning-field", flags.reasoning_field,
                  "Where answers have it: reasoning_content, reasoning or both")
      ->capture_default_str()
      ->group(kChatGroup);
  command
      .add_flag("--allow-special-in-content", flags.allow_special,
                "Special tokens written in messages are tokens and not text (unsafe)")
      ->group(kChatGroup);
  command
      .add_flag("--trust-request-chat-template", flags.trust_request_template,
                "Requests may bring a chat_template")
      ->group(kChatGroup);
  command.add_flag("--enable-auto-tool-choice,--jinja", flags.enable_auto_tool_choice, "Accepted; always on")
      ->group("");
}

Result<ChatSetup> to_chat_setup(const ChatFlags& flags) {
  ChatSetup setup;
  ASSIGN_OR_RETURN(setup.chat_template, read_template(flags.chat_template));
  ASSIGN_OR_RETURN(setup.options.kwargs, parse_kwargs(flags.default_kwargs));
  ASSIGN_OR_RETURN(setup.options.reasoning_field, parse_field(flags.reasoning_field));
  setup.options.tool_parser = flags.tool_parser;
  setup.options.reasoning_parser = flags.reasoning_parser;
  setup.options.allow_special_in_content = flags.allow_special;
  setup.options.trust_request_template = flags.trust_request_template;
  RETURN_IF_ERROR(chat::check_options(setup.options));
  return setup;
}

Result<std::shared_ptr<const chat::ChatModel>> make_chat_model(const ChatSetup& setup, chat::ChatFiles files,
                                                               const Tokenizer& tokenizer) {
  if (!setup.chat_template.empty()) {
    files.chat_template = setup.chat_template;
    files.tool_template.clear();
  }
  ASSIGN_OR_RETURN(auto model, chat::make_chat_model(files, setup.options, tokenizer));
  if (model->plain == nullptr && !setup.chat_template.empty())
    return invalid_argument("--chat-template: " + model->no_template, "--chat-template");
  if (model->plain == nullptr) {
    LOG_WARN("chats are refused: {}", model->no_template);
  } else {
    const bool shows_tools = model->with_tools->source().find("tools") != std::string::npos;
    LOG_INFO("chat: tool calls {}{}, reasoning {}", model->tool_format.empty() ? "none" : model->tool_format,
             shows_tools ? "" : " (the template does not tell the model of tools)",
             model->reasoning ? model->reasoning->name : "none");
  }
  return model;
}

}  // namespace pegainfer::apps

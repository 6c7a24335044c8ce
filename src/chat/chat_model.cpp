#include "chat/chat_model.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/log.h"

namespace pegainfer::chat {
namespace {

using Alias = std::pair<std::string_view, std::string_view>;

constexpr auto kToolAliases = std::to_array<Alias>({
    {"qwen", "hermes"},
    {"qwen25", "hermes"},
    {"qwen3", "hermes"},
    {"qwen2_5", "hermes"},
    {"qwen3_xml", "qwen3_coder"},
    {"llama3", "llama3_json"},
    {"llama4_json", "llama3_json"},
    {"llama4_pythonic", "pythonic"},
    {"deepseekv3", "deepseek_v3"},
    {"deepseek_v31", "deepseek_v3"},
});

constexpr auto kReasoningAliases = std::to_array<Alias>({
    {"auto", "auto"},
    {"none", "none"},
    {"", "none"},
    {"think", "think"},
    {"qwen3", "think"},
    {"qwen3-thinking", "think"},
    {"deepseek_r1", "think"},
    {"deepseek-r1", "think"},
    {"deepseek_v3", "think"},
});

template <size_t N>
std::string look_up(const std::array<Alias, N>& aliases, std::string_view name) {
  const auto found = std::ranges::find(aliases, name, &Alias::first);
  return found == aliases.end() ? std::string() : std::string(found->second);
}

void sort_unique(std::vector<TokenId>& ids) {
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

Result<std::string> choose_tool_format(const ChatOptions& options, std::string_view source) {
  if (options.tool_parser == "none") return std::string();
  if (options.tool_parser != "auto") return canonical_tool_parser(options.tool_parser);
  std::string format = detect_tool_format(source);
  if (!format.empty()) return format;
  return std::string("json");  // the generic one: an object that names a tool of the request
}

// Marks that are special tokens would be left out of the text.
void keep(std::string_view text, const Tokenizer& tokenizer, std::vector<TokenId>& out) {
  const TokenId id = tokenizer.token_to_id(text);
  if (id >= 0 && tokenizer.is_special(id)) out.push_back(id);
}

void find_tokens(ChatModel& model, const ChatFiles& files, const Tokenizer& tokenizer) {
  if (const ToolFormat* format = find_tool_format(model.tool_format))
    for (const std::string& text : format->special_tokens) keep(text, tokenizer, model.kept_tokens);
  if (model.reasoning) {
    keep(model.reasoning->open, tokenizer, model.kept_tokens);
    keep(model.reasoning->close, tokenizer, model.kept_tokens);
  }
  sort_unique(model.kept_tokens);
  // A line break, which is in no mark, keeps the end of one from being the beginning of another.
  model.control_tokens = tokens_named_in(tokenizer, files.chat_template + "\n" + files.tool_template);
}

}  // namespace

Status check_options(const ChatOptions& options) {
  if (options.tool_parser != "auto" && options.tool_parser != "none" &&
      canonical_tool_parser(options.tool_parser).empty()) {
    std::string known;
    for (const ToolFormat& format : tool_formats()) known += ", " + format.name;
    return invalid_argument(
        fmt::format("--tool-call-parser {}: it must be one of auto, none{}", options.tool_parser, known),
        "--tool-call-parser");
  }
  if (canonical_reasoning_parser(options.reasoning_parser).empty())
    return invalid_argument(fmt::format("--reasoning-parser {}: it must be auto, none or think (qwen3, "
                                        "deepseek_r1)",
                                        options.reasoning_parser),
                            "--reasoning-parser");
  return ok_status();
}

std::string canonical_reasoning_parser(std::string_view name) { return look_up(kReasoningAliases, name); }

std::string canonical_tool_parser(std::string_view name) {
  if (find_tool_format(name) != nullptr) return std::string(name);
  return look_up(kToolAliases, name);
}

Result<std::shared_ptr<const ChatModel>> make_chat_model(const ChatFiles& files, const ChatOptions& options,
                                                         const Tokenizer& tokenizer) {
  RETURN_IF_ERROR(check_options(options));
  auto model = std::make_shared<ChatModel>();
  model->options = options;
  model->special_tokens = files.special_tokens;
  const std::string& tools = files.tool_template.empty() ? files.chat_template : files.tool_template;
  ASSIGN_OR_RETURN(model->tool_format, choose_tool_format(options, tools));
  const std::string reasoning = canonical_reasoning_parser(options.reasoning_parser);
  if (reasoning == "think")
    model->reasoning =
        detect_reasoning_format(files.chat_template).value_or(ReasoningFormat{.name = "think"});
  if (reasoning == "auto") model->reasoning = detect_reasoning_format(files.chat_template);
  find_tokens(*model, files, tokenizer);
  if (files.chat_template.empty()) {
    model->no_template = "the model has no chat template; start the server with --chat-template FILE";
    return std::shared_ptr<const ChatModel>(std::move(model));
  }
  auto plain = ChatTemplate::compile(files.chat_template, files.special_tokens);
  auto with_tools =
      files.tool_template.empty() ? plain : ChatTemplate::compile(files.tool_template, files.special_tokens);
  if (!plain || !with_tools) {
    const Error& error = plain ? with_tools.error() : plain.error();
    model->no_template = fmt::format(
        "the model's chat template cannot be used: {}; another one can be given with --chat-template FILE",
        error.message);
    return std::shared_ptr<const ChatModel>(std::move(model));
  }
  model->plain = *std::move(plain);
  model->with_tools = *std::move(with_tools);
  return std::shared_ptr<const ChatModel>(std::move(model));
}

}  // namespace pegainfer::chat

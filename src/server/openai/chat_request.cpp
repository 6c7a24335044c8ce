#include "server/openai/chat_request.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/json.h"
#include "server/openai/chat_messages.h"
#include "server/openai/fields.h"
#include "server/openai/request_body.h"
#include "server/openai/unsupported_fields.h"

namespace pegainfer::openai {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int32_t>::max();
constexpr size_t kMaxTools = 128;
constexpr size_t kMaxDocuments = 1024;
constexpr size_t kMaxTemplateBytes = 1U << 20U;

// What chat_template_kwargs may not say: the request has fields of its own for it, or it is the template's.
constexpr std::array<std::string_view, 16> kReserved{
    "messages",  "tools",         "documents",    "add_generation_prompt", "continue_final_message",
    "tokenize",  "chat_template", "conversation", "return_dict",           "bos_token",
    "eos_token", "unk_token",     "pad_token",    "raise_exception",       "strftime_now",
    "namespace"};

Result<const json::Object*> object_field(const json::Object& body, std::string_view name) {
  const json::Value* value = json::find(body, name);
  if (value == nullptr) return static_cast<const json::Object*>(nullptr);
  if (const json::Object* object = value->if_object()) return object;
  return invalid_argument(fmt::format("{} is {}; it must be an object", name, json::kind_name(*value)),
                          std::string(name), "invalid_type");
}

// The server's kwargs, then the request's, then what other fields say by other names.
Result<std::shared_ptr<const json::Object>> parse_kwargs(const json::Object& body,
                                                         const chat::ChatModel& model) {
  auto all = std::make_shared<json::Object>();
  if (model.options.kwargs != nullptr) *all = *model.options.kwargs;
  ASSIGN_OR_RETURN(const json::Object* asked, object_field(body, "chat_template_kwargs"));
  if (asked != nullptr) {
    for (const auto& member : *asked) {
      const std::string_view name = member.key();
      if (std::ranges::find(kReserved, name) != kReserved.end())
        return invalid_argument(fmt::format("chat_template_kwargs holds {}, which is reserved", name),
                                "chat_template_kwargs", "invalid_value");
      (*all)[name] = member.value();
    }
  }
  Fields fields(body);
  const auto effort = fields.text("reasoning_effort");
  if (!fields.ok()) return fields.error();
  if (!effort) return std::shared_ptr<const json::Object>(std::move(all));
  constexpr std::array<std::string_view, 7> kEfforts{"none", "minimal", "low", "medium",
                                                     "high", "xhigh",   "max"};
  if (std::ranges::find(kEfforts, *effort) == kEfforts.end())
    return invalid_argument("reasoning_effort must be one of none, minimal, low, medium, high, xhigh and max",
                            "reasoning_effort", "invalid_value");
  const auto set_default = [&](std::string_view name, const json::Value& value) {
    if (asked == nullptr || !asked->contains(name)) (*all)[name] = value;
  };
  set_default("reasoning_effort", json::Value(*effort));
  if (*effort == "none") {
    set_default("enable_thinking", json::Value(false));
    set_default("thinking", json::Value(false));
  }
  return std::shared_ptr<const json::Object>(std::move(all));
}

Result<std::shared_ptr<const chat::ChatTemplate>> choose_template(const json::Object& body,
                                                                  const chat::ChatModel& model,
                                                                  bool with_tools) {
  Fields fields(body);
  const auto own = fields.text("chat_template");
  if (!fields.ok()) return fields.error();
  if (own) {
    if (!model.options.trust_request_template)
      return invalid_argument(
          "chat_template is not accepted by this server; it takes --trust-request-chat-template at its start",
          "chat_template", "unsupported_parameter");
    if (own->size() > kMaxTemplateBytes)
      return invalid_argument(
          fmt::format("chat_template has {} bytes; at most {} are allowed", own->size(), kMaxTemplateBytes),
          "chat_template", "out_of_range");
    auto compiled = chat::ChatTemplate::compile(*own, model.special_tokens);
    if (compiled) return compiled;
    Error error = std::move(compiled).error();
    error.code = Code::kInvalidArgument;
    error.param = "chat_template";
    if (error.type.empty()) error.type = "template_error";
    return error;
  }
  if (model.plain == nullptr) return invalid_argument(model.no_template, "messages", "no_chat_template");
  return with_tools ? model.with_tools : model.plain;
}

Status parse_conversation(const json::Object& body, const RequestContext& context,
                          const chat::ChatModel& model, ChatRequest& out) {
  ASSIGN_OR_RETURN(out.tools, parse_tools(body, kMaxTools));
  // A choice of none means that the model is not told of tools.
  if (out.tools.choice == ToolChoice::kNone) out.tools.list = nullptr;
  ASSIGN_OR_RETURN(out.chat_template, choose_template(body, model, out.tools.list != nullptr));
  const json::Value* messages = json::find(body, "messages");
  const bool developer_role = out.chat_template->source().find("developer") != std::string::npos;
  if (messages == nullptr) return invalid_argument("messages is missing", "messages", "missing_parameter");
  ASSIGN_OR_RETURN(json::Array normal,
                   normalize_messages(*messages, developer_role, context.limits.max_messages));
  out.messages = std::make_shared<const json::Array>(std::move(normal));
  if (const json::Value* documents = json::find(body, "documents")) {
    const json::Array* list = documents->if_array();
    const bool objects =
        list != nullptr && std::ranges::all_of(*list, [](const json::Value& v) { return v.is_object(); });
    if (!objects || list->size() > kMaxDocuments)
      return invalid_argument(fmt::format("documents must be an array of at most {} objects", kMaxDocuments),
                              "documents", objects ? "out_of_range" : "invalid_type");
    out.documents = std::make_shared<const json::Array>(*list);
  }
  ASSIGN_OR_RETURN(out.kwargs, parse_kwargs(body, model));
  const bool wants_call = out.tools.choice == ToolChoice::kRequired || out.tools.choice == ToolChoice::kNamed;
  if (wants_call && model.tool_format.empty())
    return invalid_argument(
        "tool_choice asks for a call, but this server reads none (--tool-call-parser none)", "tool_choice",
        "unsupported_parameter");
  return ok_status();
}

void parse_continuation(Fields& fields, ChatRequest& out) {
  const bool given = fields.find("add_generation_prompt") != nullptr;
  out.continue_final_message = fields.flag("continue_final_message", false);
  out.add_generation_prompt = fields.flag("add_generation_prompt", !out.continue_final_message);
  if (out.continue_final_message && out.add_generation_prompt && given)
    fields.fail("continue_final_message",
                "continue_final_message and add_generation_prompt are both true; one of them must be false");
  out.add_special_tokens = fields.flag("add_special_tokens", false);
  const json::Object& last = out.messages->back().get_object();
  const std::string_view last_role = last.at("role").get_string();
  out.role = out.add_generation_prompt ? "assistant" : std::string(last_role);
  if (fields.flag("echo", false) && last_role == out.role) out.echo_text = content_text(out.messages->back());
}

// max_completion_tokens wins over max_tokens, as in vLLM; with neither the rest of the context is there.
void parse_length(Fields& fields, ChatRequest& out) {
  const auto completion = fields.integer("max_completion_tokens", 1, kMaxInt);
  const std::string_view name =
      completion ? "max_completion_tokens" : fields.either("max_tokens", "n_predict");
  if (completion) {
    out.max_tokens_given = true;
    out.sampling.max_tokens = static_cast<int>(*completion);
  } else if (!out.max_tokens_given) {
    out.sampling.max_tokens = static_cast<int>(kMaxInt);
  } else if (out.sampling.max_tokens == 0 && fields.ok()) {
    fields.fail(name, fmt::format("{} is 0; it must be at least 1", name), "out_of_range");
  }
  check_min_tokens(fields, name, out.sampling);
}

void parse_logprobs(Fields& fields, const ApiLimits& limits, ChatRequest& out) {
  out.logprobs = fields.flag("logprobs", false);
  auto top = fields.integer("top_logprobs", 0, limits.max_logprobs);
  // llama-server's name for both; 0 is none there.
  const auto n_probs = fields.integer("n_probs", 0, limits.max_logprobs);
  if (!top && n_probs.value_or(0) > 0) {
    top = n_probs;
    out.logprobs = true;
  }
  if (top.value_or(0) > 0 && !out.logprobs && fields.ok())
    fields.fail("top_logprobs", "top_logprobs needs logprobs to be true");
  out.top_logprobs = static_cast<int>(top.value_or(0));
  out.sampling.logprobs = out.logprobs ? out.top_logprobs : -1;
}

void check_modalities(Fields& fields) {
  const json::Value* modalities = fields.find("modalities");
  if (modalities == nullptr) return;
  const json::Array* list = modalities->if_array();
  const auto is_text = [](const json::Value& v) { return v.is_string() && v.get_string() == "text"; };
  if (list == nullptr || !std::ranges::all_of(*list, is_text))
    fields.fail("modalities", "modalities must be [\"text\"]; this server answers with text only",
                "unsupported_parameter");
}

Result<std::string> render(const ChatRequest& request, std::vector<TextSpan>& untrusted) {
  auto rendered = request.chat_template->render({.messages = request.messages.get(),
                                                 .tools = request.tools.list.get(),
                                                 .documents = request.documents.get(),
                                                 .kwargs = request.kwargs.get(),
                                                 .add_generation_prompt = request.add_generation_prompt,
                                                 .continue_final_message = request.continue_final_message});
  if (!rendered) {
    Error error = std::move(rendered).error();
    error.code = Code::kInvalidArgument;  // a template that refuses a conversation will always do so
    if (error.param.empty()) error.param = "messages";
    if (error.type.empty()) error.type = "template_error";
    return error;
  }
  untrusted = std::move(rendered->untrusted);
  return std::move(rendered->text);
}

}  // namespace

Result<ChatRequest> parse_chat(std::string_view body, const RequestContext& context,
                               const chat::ChatModel& model) {
  ASSIGN_OR_RETURN(const json::Value value, parse_object(body));
  const json::Object& object = value.get_object();
  ChatRequest out;
  out.text_bytes = body.size();
  ASSIGN_OR_RETURN(out.model, parse_model(object, context.model_names));
  RETURN_IF_ERROR(refuse_unsupported_completion_fields(object));
  RETURN_IF_ERROR(parse_conversation(object, context, model, out));
  Fields fields(object);
  parse_sampling(fields, context, out);
  parse_length(fields, out);
  parse_n(fields, context.limits, out);
  parse_text_options(fields, context, out);
  parse_logprobs(fields, context.limits, out);
  parse_prompt_logprobs(fields, context.limits, out);
  parse_continuation(fields, out);
  out.tools.parallel = fields.flag("parallel_tool_calls", true);
  out.include_reasoning = fields.flag("include_reasoning", true);
  out.return_prompt_text = fields.flag("return_prompt_text", false);
  parse_scheduling(fields, out);
  parse_stream(fields, out);
  check_ignored(fields);
  check_modalities(fields);
  if (!fields.ok()) return fields.error();
  for (const char* name : {"model", "messages", "tools", "tool_choice", "functions", "function_call",
                           "documents", "chat_template", "chat_template_kwargs", "reasoning_effort",
                           "return_token_strs"})  // the last is of /tokenize, which takes chats, too
    fields.know(name);
  note_unknown_fields(fields);
  return out;
}

Result<ChatPrompt> make_chat_prompt(const ChatRequest& request, const chat::ChatModel& model,
                                    const Tokenizer& tokenizer) {
  std::vector<TextSpan> untrusted;
  ChatPrompt prompt;
  ASSIGN_OR_RETURN(prompt.text, render(request, untrusted));
  if (!opens_reasoning(prompt.text, model)) prompt.text += call_opening(model, request.tools);
  EncodeOptions options{.add_special_tokens = request.add_special_tokens};
  if (!model.options.allow_special_in_content) {
    options.untrusted = untrusted;
    options.control_tokens = model.control_tokens;
  }
  prompt.ids = tokenizer.encode(prompt.text, options);
  return prompt;
}

bool opens_reasoning(std::string_view prompt, const chat::ChatModel& model) {
  if (!model.reasoning) return false;
  const size_t end = prompt.find_last_not_of(" \t\r\n");
  if (end == std::string_view::npos) return false;
  return prompt.substr(0, end + 1).ends_with(model.reasoning->open);
}

std::string call_opening(const chat::ChatModel& model, const ChatTools& tools) {
  const bool named = tools.choice == ToolChoice::kNamed;
  if (!named && tools.choice != ToolChoice::kRequired) return {};
  const auto object = [&](std::string_view before, std::string_view arguments) {
    if (!named) return fmt::format("{}{{\"name\":", before);
    return fmt::format("{}{{\"name\": \"{}\", \"{}\":", before, tools.named, arguments);
  };
  const std::string& format = model.tool_format;
  const std::string source = model.with_tools == nullptr ? std::string() : model.with_tools->source();
  if (format == "hermes") return object("<tool_call>\n", "arguments");
  if (format == "llama3_json") return object("", "parameters");
  if (format == "json") return object("", "arguments");
  if (format == "mistral") {
    if (source.find("[ARGS]") == std::string::npos) return object("[TOOL_CALLS][", "arguments");
    return named ? fmt::format("[TOOL_CALLS]{}[ARGS]", tools.named) : "[TOOL_CALLS]";
  }
  if (format == "qwen3_coder")
    return named ? fmt::format("<tool_call>\n<function={}>\n", tools.named) : "<tool_call>\n<function=";
  if (format == "pythonic") return named ? fmt::format("[{}(", tools.named) : "[";
  if (format == "deepseek_v3") {
    constexpr std::string_view kBegin = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>";
    constexpr std::string_view kSeparator = "<｜tool▁sep｜>";
    const bool fenced =
        source.find("```json") != std::string::npos;  // V3 and R1; V3.1 has name and arguments
    std::string text(kBegin);
    if (fenced) text += "function" + std::string(kSeparator);
    if (named) text += tools.named + (fenced ? "\n```json\n" : std::string(kSeparator));
    return text;
  }
  return {};
}

}  // namespace pegainfer::openai

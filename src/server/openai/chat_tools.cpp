#include "server/openai/chat_tools.h"

#include <fmt/core.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "chat/tool_schema.h"

namespace pegainfer::openai {
namespace {

constexpr const char* kInvalidType = "invalid_type";
constexpr const char* kInvalidValue = "invalid_value";
constexpr const char* kMissing = "missing_parameter";
constexpr size_t kMaxName = 64;

bool is_name(std::string_view name) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, allowed);
}

Result<std::string> function_name(const json::Value* value, const std::string& at) {
  const json::Object* function = value == nullptr ? nullptr : value->if_object();
  if (function == nullptr)
    return invalid_argument(fmt::format("{} must be an object", at), at,
                            value == nullptr ? kMissing : kInvalidType);
  const json::Value* name = json::find(*function, "name");
  if (name == nullptr || !name->is_string())
    return invalid_argument(fmt::format("{}.name must be a string", at), at + ".name",
                            name == nullptr ? kMissing : kInvalidType);
  const std::string_view text = name->get_string();
  if (!is_name(text))
    return invalid_argument(fmt::format("{}.name must have 1 to {} letters, digits, _ and -", at, kMaxName),
                            at + ".name", kInvalidValue);
  return std::string(text);
}

Result<std::string> check_tool(const json::Value& value, const std::string& at) {
  const json::Object* tool = value.if_object();
  if (tool == nullptr)
    return invalid_argument(fmt::format("{} is {}; it must be an object", at, json::kind_name(value)), at,
                            kInvalidType);
  const json::Value* type = json::find(*tool, "type");
  if (type == nullptr || !type->is_string() || type->get_string() != "function")
    return invalid_argument(fmt::format("{}.type must be \"function\"", at), at + ".type",
                            type == nullptr ? kMissing : kInvalidValue);
  const std::string here = at + ".function";
  const json::Value* function = json::find(*tool, "function");
  ASSIGN_OR_RETURN(std::string name, function_name(function, here));
  const json::Value* parameters = json::find(function->get_object(), "parameters");
  if (parameters != nullptr && !parameters->is_object())
    return invalid_argument(
        fmt::format("{}.parameters is {}; it must be an object", here, json::kind_name(*parameters)),
        here + ".parameters", kInvalidType);
  const json::Value* description = json::find(function->get_object(), "description");
  if (description != nullptr && !description->is_string())
    return invalid_argument(fmt::format("{}.description must be a string", here), here + ".description",
                            kInvalidType);
  return name;
}

Status read_list(const json::Value& value, size_t max_tools, ChatTools& out) {
  const json::Array* list = value.if_array();
  if (list == nullptr)
    return invalid_argument(fmt::format("tools is {}; it must be an array", json::kind_name(value)), "tools",
                            kInvalidType);
  if (list->size() > max_tools)
    return invalid_argument(
        fmt::format("tools has {} entries; at most {} are allowed", list->size(), max_tools), "tools",
        "out_of_range");
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string at = fmt::format("tools[{}]", i);
    ASSIGN_OR_RETURN(std::string name, check_tool((*list)[i], at));
    if (std::ranges::find(out.names, name) != out.names.end())
      return invalid_argument(fmt::format("{}.function.name {} stands in tools twice", at, json::quote(name)),
                              at + ".function.name", kInvalidValue);
    out.names.push_back(std::move(name));
  }
  if (list->empty()) return ok_status();
  out.list = std::make_shared<const json::Array>(*list);
  out.parameter_types = chat::tool_parameter_types(*list);
  return ok_status();
}

Status read_named(const json::Object& choice, ChatTools& out) {
  const json::Value* type = json::find(choice, "type");
  if (type == nullptr || !type->is_string() || type->get_string() != "function")
    return invalid_argument("tool_choice.type must be \"function\"", "tool_choice",
                            type == nullptr ? kMissing : kInvalidValue);
  ASSIGN_OR_RETURN(out.named, function_name(json::find(choice, "function"), "tool_choice.function"));
  if (std::ranges::find(out.names, out.named) == out.names.end())
    return invalid_argument(
        fmt::format("tool_choice names {}, which is not among tools", json::quote(out.named)), "tool_choice",
        kInvalidValue);
  out.choice = ToolChoice::kNamed;
  return ok_status();
}

Status read_choice(const json::Value& value, ChatTools& out) {
  if (const json::Object* named = value.if_object()) return read_named(*named, out);
  const auto* text = value.if_string();
  if (text == nullptr)
    return invalid_argument(
        fmt::format("tool_choice is {}; it must be a string or an object", json::kind_name(value)),
        "tool_choice", kInvalidType);
  const std::string_view word = *text;
  if (word == "none") {
    out.choice = ToolChoice::kNone;
  } else if (word == "auto") {
    out.choice = out.list == nullptr ? ToolChoice::kNone : ToolChoice::kAuto;
  } else if (word == "required") {
    if (out.list == nullptr)
      return invalid_argument("tool_choice is required, but there are no tools", "tool_choice",
                              kInvalidValue);
    out.choice = ToolChoice::kRequired;
  } else {
    return invalid_argument(
        fmt::format("tool_choice is {}; it must be none, auto, required or an object that names a function",
                    json::quote(word.substr(0, 64))),
        "tool_choice", kInvalidValue);
  }
  return ok_status();
}

// The deprecated forms: with a value that asks for nothing they are accepted.
Status refuse_functions(const json::Object& body) {
  const json::Value* functions = json::find(body, "functions");
  if (functions != nullptr && !(functions->is_array() && functions->get_array().empty()))
    return invalid_argument("functions is deprecated and not supported by this server; send tools",
                            "functions", "unsupported_parameter");
  const json::Value* call = json::find(body, "function_call");
  if (call == nullptr) return ok_status();
  const bool nothing = call->is_string() && (call->get_string() == "none" || call->get_string() == "auto");
  if (nothing) return ok_status();
  return invalid_argument("function_call is deprecated and not supported by this server; send tool_choice",
                          "function_call", "unsupported_parameter");
}

}  // namespace

Result<ChatTools> parse_tools(const json::Object& body, size_t max_tools) {
  RETURN_IF_ERROR(refuse_functions(body));
  ChatTools out;
  if (const json::Value* tools = json::find(body, "tools")) {
    RETURN_IF_ERROR(read_list(*tools, max_tools, out));
  }
  if (out.list != nullptr) out.choice = ToolChoice::kAuto;
  if (const json::Value* choice = json::find(body, "tool_choice")) {
    RETURN_IF_ERROR(read_choice(*choice, out));
  }
  return out;
}

}  // namespace pegainfer::openai

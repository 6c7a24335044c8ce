#include "server/openai/chat_messages.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/json.h"

namespace pegainfer::openai {
namespace {

constexpr const char* kInvalidType = "invalid_type";
constexpr const char* kInvalidValue = "invalid_value";
constexpr const char* kMissing = "missing_parameter";

constexpr std::array<std::string_view, 6> kRoles{"system",    "developer", "user",
                                                 "assistant", "tool",      "function"};

json::Object text_part(std::string_view text) {
  json::Object part;
  part["type"] = "text";
  part["text"] = text;
  return part;
}

// The text of one part of a content.
Result<std::string> part_text(const json::Value& value, const std::string& at) {
  if (value.is_string()) return std::string(value.get_string());
  const json::Object* part = value.if_object();
  if (part == nullptr)
    return invalid_argument(fmt::format("{} is {}; it must be an object", at, json::kind_name(value)), at,
                            kInvalidType);
  const json::Value* type = json::find(*part, "type");
  if (type == nullptr || !type->is_string())
    return invalid_argument(fmt::format("{}.type must be a string: \"text\"", at), at + ".type",
                            type == nullptr ? kMissing : kInvalidType);
  const std::string_view name = type->get_string();
  const bool refusal = name == "refusal";
  if (!refusal && name != "text" && name != "input_text" && name != "output_text")
    return invalid_argument(
        fmt::format("{} is of type {}; this server takes text only", at, json::quote(name.substr(0, 64))), at,
        "unsupported_content");
  const char* field = refusal ? "refusal" : "text";
  const json::Value* text = json::find(*part, field);
  if (text == nullptr || !text->is_string())
    return invalid_argument(fmt::format("{}.{} must be a string", at, field), fmt::format("{}.{}", at, field),
                            text == nullptr ? kMissing : kInvalidType);
  return std::string(text->get_string());
}

Result<json::Value> parts_content(const json::Array& parts, const std::string& at) {
  json::Array list;
  for (size_t i = 0; i < parts.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string text, part_text(parts[i], fmt::format("{}[{}]", at, i)));
    list.push_back(text_part(text));
  }
  return json::Value(std::move(list));
}

// An assistant may have said nothing (it called a tool), and a tool may have returned nothing.
bool may_be_empty(std::string_view role) {
  return role == "assistant" || role == "tool" || role == "function";
}

Result<json::Value> content_of(const json::Object& message, std::string_view role, const std::string& at) {
  const std::string field = at + ".content";
  const json::Value* content = json::find(message, "content");
  if (content == nullptr) {
    if (may_be_empty(role)) return json::Value("");
    return invalid_argument(
        fmt::format("{} is missing; a {} message must have it, a string or parts of text", field, role),
        field, kMissing);
  }
  if (content->is_string()) return *content;
  if (const json::Array* parts = content->if_array()) {
    if (!parts->empty()) return parts_content(*parts, field);
    if (role == "assistant") return json::Value("");
    return invalid_argument(fmt::format("{} is empty; a {} message must have something in it", field, role),
                            field, kInvalidValue);
  }
  return invalid_argument(
      fmt::format("{} is {}; it must be a string or an array of parts", field, json::kind_name(*content)),
      field, kInvalidType);
}

// A text of JSON, or what it says.
Result<json::Value> arguments_of(const json::Object& function, const std::string& at) {
  const json::Value* value = json::find(function, "arguments");
  if (value == nullptr) return json::Value(json::Object());
  if (value->is_object() || value->is_string()) return *value;
  return invalid_argument(
      fmt::format("{}.arguments is {}; it must be a string of JSON", at, json::kind_name(*value)),
      at + ".arguments", kInvalidType);
}

Result<json::Object> tool_call_function(const json::Value* value, const std::string& at) {
  const json::Object* function = value == nullptr ? nullptr : value->if_object();
  if (function == nullptr)
    return invalid_argument(fmt::format("{} must be an object with name and arguments", at), at,
                            value == nullptr ? kMissing : kInvalidType);
  const json::Value* name = json::find(*function, "name");
  if (name == nullptr || !name->is_string() || name->get_string().empty())
    return invalid_argument(fmt::format("{}.name must be a string", at), at + ".name",
                            name == nullptr ? kMissing : kInvalidType);
  json::Object out;
  out["name"] = *name;
  ASSIGN_OR_RETURN(out["arguments"], arguments_of(*function, at));
  return out;
}

Result<json::Value> tool_calls_of(const json::Value& value, const std::string& at) {
  const json::Array* calls = value.if_array();
  if (calls == nullptr)
    return invalid_argument(fmt::format("{} is {}; it must be an array", at, json::kind_name(value)), at,
                            kInvalidType);
  json::Array out;
  for (size_t i = 0; i < calls->size(); ++i) {
    const std::string here = fmt::format("{}[{}]", at, i);
    const json::Object* call = (*calls)[i].if_object();
    if (call == nullptr)
      return invalid_argument(
          fmt::format("{} is {}; it must be an object", here, json::kind_name((*calls)[i])), here,
          kInvalidType);
    const json::Value* type = json::find(*call, "type");
    if (type != nullptr && (!type->is_string() || type->get_string() != "function"))
      return invalid_argument(fmt::format("{}.type must be \"function\"", here), here + ".type",
                              kInvalidValue);
    const json::Value* id = json::find(*call, "id");
    if (id != nullptr && !id->is_string())
      return invalid_argument(fmt::format("{}.id must be a string", here), here + ".id", kInvalidType);
    json::Object kept;
    if (id != nullptr) kept["id"] = *id;
    kept["type"] = "function";
    ASSIGN_OR_RETURN(kept["function"], tool_call_function(json::find(*call, "function"), here + ".function"));
    out.push_back(std::move(kept));
  }
  return json::Value(std::move(out));
}

// The deprecated `function_call` of an assistant as the one tool call that it is.
Result<json::Value> legacy_call(const json::Value& value, const std::string& at) {
  json::Object call;
  call["type"] = "function";
  ASSIGN_OR_RETURN(call["function"], tool_call_function(&value, at));
  json::Array calls;
  calls.push_back(std::move(call));
  return json::Value(std::move(calls));
}

Result<std::string> role_of(const json::Object& message, const std::string& at) {
  const std::string field = at + ".role";
  const json::Value* role = json::find(message, "role");
  if (role == nullptr) return invalid_argument(fmt::format("{} is missing", field), field, kMissing);
  if (!role->is_string())
    return invalid_argument(fmt::format("{} is {}; it must be a string", field, json::kind_name(*role)),
                            field, kInvalidType);
  const std::string_view name = role->get_string();
  if (std::ranges::find(kRoles, name) == kRoles.end())
    return invalid_argument(fmt::format("{} is {}; it must be system, developer, user, assistant or tool",
                                        field, json::quote(name.substr(0, 64))),
                            field, kInvalidValue);
  return std::string(name);
}

Result<std::optional<std::string>> text_field(const json::Object& message, std::string_view name,
                                              const std::string& at) {
  const json::Value* value = json::find(message, name);
  if (value == nullptr) return std::optional<std::string>();
  if (const auto* text = value->if_string()) return std::optional<std::string>(std::string(*text));
  const std::string field = fmt::format("{}.{}", at, name);
  return invalid_argument(fmt::format("{} is {}; it must be a string", field, json::kind_name(*value)), field,
                          kInvalidType);
}

bool handled(std::string_view key) {
  return key == "role" || key == "content" || key == "tool_calls" || key == "function_call";
}

Status add_tool_calls(const json::Object& message, const std::string& at, json::Object& out) {
  if (const json::Value* calls = json::find(message, "tool_calls")) {
    ASSIGN_OR_RETURN(json::Value kept, tool_calls_of(*calls, at + ".tool_calls"));
    if (!kept.get_array().empty()) out["tool_calls"] = std::move(kept);
  } else if (const json::Value* call = json::find(message, "function_call")) {
    ASSIGN_OR_RETURN(out["tool_calls"], legacy_call(*call, at + ".function_call"));
  }
  return ok_status();
}

Result<json::Object> normalize(const json::Value& value, bool developer_role, const std::string& at) {
  const json::Object* message = value.if_object();
  if (message == nullptr)
    return invalid_argument(fmt::format("{} is {}; it must be an object", at, json::kind_name(value)), at,
                            kInvalidType);
  ASSIGN_OR_RETURN(const std::string role, role_of(*message, at));
  for (const std::string_view name : {"name", "tool_call_id", "reasoning_content", "reasoning"})
    if (const auto text = text_field(*message, name, at); !text) return text.error();
  if (role == "tool" && json::find(*message, "tool_call_id") == nullptr)
    return invalid_argument(fmt::format("{}.tool_call_id is missing; a tool message must have it", at),
                            at + ".tool_call_id", kMissing);
  if (role == "function" && json::find(*message, "name") == nullptr)
    return invalid_argument(fmt::format("{}.name is missing; a function message must have it", at),
                            at + ".name", kMissing);
  json::Object out;
  out["role"] = role == "function" ? "tool" : role == "developer" && !developer_role ? "system" : role;
  ASSIGN_OR_RETURN(out["content"], content_of(*message, role, at));
  if (role == "assistant") {
    RETURN_IF_ERROR(add_tool_calls(*message, at, out));
  }
  for (const auto& member : *message) {
    if (!handled(member.key()) && !member.value().is_null()) out[member.key()] = member.value();
  }
  return out;
}

}  // namespace

Result<json::Array> normalize_messages(const json::Value& value, bool developer_role, size_t max_messages) {
  const json::Array* messages = value.if_array();
  if (messages == nullptr)
    return invalid_argument(
        fmt::format("messages is {}; it must be an array of messages", json::kind_name(value)), "messages",
        kInvalidType);
  if (messages->empty())
    return invalid_argument("messages is empty; at least one message is needed", "messages", kInvalidValue);
  if (messages->size() > max_messages)
    return invalid_argument(
        fmt::format("messages has {} entries; at most {} are allowed", messages->size(), max_messages),
        "messages", "too_many_messages");
  json::Array out;
  out.reserve(messages->size());
  for (size_t i = 0; i < messages->size(); ++i) {
    ASSIGN_OR_RETURN(json::Object message,
                     normalize((*messages)[i], developer_role, fmt::format("messages[{}]", i)));
    out.push_back(std::move(message));
  }
  return out;
}

std::string content_text(const json::Value& message) {
  const json::Object* object = message.if_object();
  const json::Value* content = object == nullptr ? nullptr : json::find(*object, "content");
  if (content == nullptr) return {};
  if (const auto* text = content->if_string()) return std::string(*text);
  std::string joined;
  if (const json::Array* parts = content->if_array()) {
    for (const json::Value& part : *parts) {
      const json::Object* fields = part.if_object();
      const json::Value* text = fields == nullptr ? nullptr : json::find(*fields, "text");
      if (text != nullptr && text->is_string()) joined += std::string_view(text->get_string());
    }
  }
  return joined;
}

}  // namespace pegainfer::openai

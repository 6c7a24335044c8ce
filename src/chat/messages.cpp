#include "chat/messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json.h"
#include "chat/jinja/string_ops.h"

namespace pegainfer::chat {
namespace {

using jinja::Dict;
using jinja::Flavor;
using jinja::Kind;
using jinja::List;
using jinja::Text;
using jinja::Value;

constexpr std::array<std::string_view, 3> kReasoningFields = {"reasoning_content", "thinking", "reasoning"};
constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};
constexpr std::string_view kTag = "CONTINUE_FINAL_MESSAGE_TAG ";

Error template_error(std::string message) {
  return invalid_argument("chat template: " + std::move(message), "", "template_error");
}

Value make_list(std::vector<Value> items) {
  auto list = std::make_shared<List>();
  for (const Value& item : items) list->depth = std::max(list->depth, item.depth() + 1);
  list->items = std::move(items);
  return {jinja::ListPtr(std::move(list))};
}
Value make_dict(Dict dict) { return {jinja::DictPtr(std::make_shared<const Dict>(std::move(dict)))}; }

bool is_text_part(const Value& part) {
  if (part.is_string()) return true;
  if (!part.is(Kind::kDict)) return false;
  const Value* text = part.dict().get("text");
  return text != nullptr && text->is_string();
}
const Text& text_of(const Value& part) {
  return part.is_string() ? part.text() : part.dict().get("text")->text();
}

Value content_in_form(Value content, ContentForm form) {
  if (form == ContentForm::kParts && content.is_string()) {
    Dict part;
    part.set(Value::string("type"), Value::string("text"));
    part.set(Value::string("text"), std::move(content));
    return make_list({make_dict(std::move(part))});
  }
  if (form != ContentForm::kString || !content.is(Kind::kList)) return content;
  const auto& parts = content.list().items;
  if (!std::all_of(parts.begin(), parts.end(), is_text_part)) return content;
  jinja::TextBuilder out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out.trusted("\n");
    out.append(text_of(parts[i]));
  }
  return {jinja::make_text(out)};
}

// The arguments of a call, which the API writes as text and templates want as an object.
Value arguments_value(const Value& arguments) {
  if (!arguments.is_string()) return arguments;
  if (jinja::strip(arguments.text(), nullptr, jinja::Side::kBoth).bytes.empty()) return make_dict({});
  json::ParseLimits limits;
  limits.reject_duplicate_keys = false;
  const auto parsed = json::parse(arguments.bytes(), limits);
  size_t bytes = 0;
  return parsed && parsed->is_object() ? template_value(*parsed, bytes) : arguments;
}

Value with(const Dict& dict, std::string_view key, Value value) {
  Dict changed = dict;
  changed.set(Value::string(key, true), std::move(value));
  return make_dict(std::move(changed));
}

Value tool_calls_value(const Value& calls) {
  if (!calls.is(Kind::kList)) return calls;
  std::vector<Value> out;
  for (const Value& call : calls.list().items) {
    const Value* function = call.is(Kind::kDict) ? call.dict().get("function") : nullptr;
    const Value* arguments =
        function != nullptr && function->is(Kind::kDict) ? function->dict().get("arguments") : nullptr;
    if (arguments == nullptr) {
      out.push_back(call);
    } else {
      out.push_back(
          with(call.dict(), "function", with(function->dict(), "arguments", arguments_value(*arguments))));
    }
  }
  return make_list(std::move(out));
}

void name_reasoning(Dict& message) {
  for (const std::string_view field : kReasoningFields) {
    if (const Value* found = message.get(field)) {
      const Value reasoning = *found;
      for (const std::string_view other : kReasoningFields) {
        if (message.get(other) == nullptr) message.set(Value::string(other), reasoning);
      }
      return;
    }
  }
}

Value message_value(const json::Object& object, ContentForm form, size_t& bytes) {
  Dict message;
  for (const auto& [key, json] : object) {
    if (json.is_null() && key != "content") continue;
    Value value = template_value(json, bytes);
    if (key == "content") {
      value = content_in_form(std::move(value), form);
    } else if (key == "tool_calls") {
      value = tool_calls_value(value);
    } else if (key == "role" && value.is_string() &&
               std::find(kRoles.begin(), kRoles.end(), value.bytes()) != kRoles.end()) {
      value = Value::string(value.bytes());
    }
    bytes += key.size();
    message.set(Value::string(key, true), std::move(value));
  }
  name_reasoning(message);
  return make_dict(std::move(message));
}

Value tagged(const Value& text) {
  jinja::TextBuilder out;
  out.append(text.text());
  out.trusted(kTag);
  return {jinja::make_text(out)};
}

}  // namespace

jinja::Value template_value(const boost::json::value& value, size_t& bytes) {
  switch (value.kind()) {
    case boost::json::kind::null: return {jinja::None{}};
    case boost::json::kind::bool_: return {value.get_bool()};
    case boost::json::kind::int64: return {value.get_int64()};
    case boost::json::kind::uint64:
      if (value.get_uint64() <= INT64_MAX) return {static_cast<int64_t>(value.get_uint64())};
      return {jinja::BigInt{std::make_shared<const std::string>(std::to_string(value.get_uint64()))}};
    case boost::json::kind::double_: return {value.get_double()};
    case boost::json::kind::string:
      bytes += value.get_string().size();
      return Value::string(value.get_string(), true);
    case boost::json::kind::array: {
      std::vector<Value> items;
      items.reserve(value.get_array().size());
      for (const auto& item : value.get_array()) items.push_back(template_value(item, bytes));
      return make_list(std::move(items));
    }
    case boost::json::kind::object: {
      Dict dict;
      for (const auto& [key, item] : value.get_object()) {
        bytes += key.size();
        dict.set(Value::string(key, true), template_value(item, bytes));
      }
      return make_dict(std::move(dict));
    }
  }
  return {};
}

Result<std::vector<Value>> template_messages(const boost::json::array& messages, ContentForm form,
                                             size_t& bytes) {
  std::vector<Value> out;
  out.reserve(messages.size());
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!messages[i].is_object()) return template_error(fmt::format("messages[{}] is not an object", i));
    out.push_back(message_value(messages[i].get_object(), form, bytes));
  }
  return out;
}

Result<ContinuedMessage> mark_final_message(std::vector<Value>& messages) {
  if (messages.empty()) return template_error("continue_final_message is set and there are no messages");
  const Dict& last = messages.back().dict();
  const Value* content = last.get("content");
  if (content == nullptr || content->is_none()) {
    return template_error("continue_final_message is set and the final message has no content to continue");
  }
  if (content->is_string()) {
    ContinuedMessage continued{content->bytes()};
    messages.back() = with(last, "content", tagged(*content));
    return continued;
  }
  if (content->is(Kind::kList)) {
    std::vector<Value> parts = content->list().items;
    for (size_t i = parts.size(); i-- > 0;) {
      if (!parts[i].is(Kind::kDict) || !is_text_part(parts[i])) continue;
      ContinuedMessage continued{text_of(parts[i]).bytes};
      parts[i] = with(parts[i].dict(), "text", tagged(*parts[i].dict().get("text")));
      messages.back() = with(last, "content", make_list(std::move(parts)));
      return continued;
    }
  }
  return template_error("continue_final_message is set and the final message has no text to continue");
}

Status cut_after_final_message(Text& text, const ContinuedMessage& message) {
  const Text content{message.content, {}, false};
  const std::string_view tag = kTag.substr(0, kTag.size() - 1);
  const size_t at = text.bytes.rfind(tag);
  if (at == std::string::npos ||
      text.bytes.find(jinja::strip(content, nullptr, jinja::Side::kBoth).bytes) == std::string::npos) {
    return template_error(
        "continue_final_message is set and the final message does not appear in what the template makes of "
        "it");
  }
  const bool spacing_kept = text.bytes.compare(at, kTag.size(), kTag) == 0;
  text = jinja::slice_bytes(text, 0, at);
  // Else the message's trailing spaces were trimmed with the tag's.
  if (!spacing_kept) text = jinja::strip(text, nullptr, jinja::Side::kRight);
  return ok_status();
}

}  // namespace pegainfer::chat

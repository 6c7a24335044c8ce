#include "chat/tool_schema.h"

#include <algorithm>

#include "base/json.h"
#include "chat/json_scanner.h"
#include "chat/message_sink.h"
#include "chat/python_value.h"

namespace pegainfer::chat {
namespace {

constexpr int kMaxReferences = 8;

std::string_view text_of(const json::Value& value) {
  return value.is_string() ? std::string_view(value.get_string()) : std::string_view();
}

const json::Object* object_at(const json::Object& object, std::string_view key) {
  const json::Value* value = object.if_contains(key);
  return value == nullptr ? nullptr : value->if_object();
}

struct SchemaType {
  std::string type;
  bool nullable = false;
  void add(const SchemaType& other) {
    nullable |= other.nullable;
    if (type.empty()) type = other.type;
  }
};

SchemaType named_type(std::string_view name) {
  return name == "null" ? SchemaType{.nullable = true} : SchemaType{.type = std::string(name)};
}

// "#/$defs/Name" in `root`.
const json::Object* referenced(const json::Object& root, std::string_view reference) {
  const std::string_view name = reference.substr(reference.rfind('/') + 1);
  for (const std::string_view key : {"$defs", "definitions"}) {
    const json::Object* definitions = object_at(root, key);
    const json::Object* found = definitions == nullptr ? nullptr : object_at(*definitions, name);
    if (found != nullptr) return found;
  }
  return nullptr;
}

SchemaType schema_type(const json::Object& schema, const json::Object& root, int depth) {
  SchemaType found;
  if (depth > kMaxReferences) return found;
  if (const json::Value* type = schema.if_contains("type")) {
    if (const json::Array* types = type->if_array()) {
      for (const json::Value& one : *types) found.add(named_type(text_of(one)));
    } else {
      found.add(named_type(text_of(*type)));
    }
    return found;
  }
  for (const std::string_view key : {"anyOf", "oneOf", "allOf"}) {
    const json::Value* options = schema.if_contains(key);
    if (options == nullptr || !options->is_array()) continue;
    for (const json::Value& option : options->get_array()) {
      if (option.is_object()) found.add(schema_type(option.get_object(), root, depth + 1));
    }
    return found;
  }
  if (const json::Value* reference = schema.if_contains("$ref")) {
    const json::Object* target = referenced(root, text_of(*reference));
    if (target != nullptr) return schema_type(*target, root, depth + 1);
  }
  if (schema.contains("properties")) found.type = "object";
  if (schema.contains("items")) found.type = "array";
  return found;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string_view trim(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(kWhitespace), text.size());
  return text.substr(begin, text.find_last_not_of(kWhitespace) + 1 - begin);
}

bool begins_with_any(std::string_view type, std::initializer_list<std::string_view> names) {
  return std::any_of(names.begin(), names.end(),
                     [type](std::string_view name) { return type.starts_with(name); });
}

// Of the types that are not strings; "": not a value of this type.
std::string typed_json(std::string_view value, std::string_view type) {
  std::string out;
  const bool number = !value.empty() && (value[0] == '-' || (value[0] >= '0' && value[0] <= '9'));
  if (begins_with_any(type, {"int", "uint", "long", "short", "unsigned"})) {
    const bool whole = value.find_first_of(".eE") == std::string_view::npos;
    return number && whole && scan_whole(value, out) ? out : "";
  }
  if (begins_with_any(type, {"num", "float", "double"})) return number && scan_whole(value, out) ? out : "";
  if (begins_with_any(type, {"bool", "binary"})) {
    out = lower(value);
    return out == "true" || out == "false" ? out : "";
  }
  // Objects and arrays, and types nobody knows: JSON if it is, else as Python writes it.
  if (!value.empty() && scan_whole(value, out)) return out;
  out.clear();
  return python_to_json(value, out) ? out : "";
}

}  // namespace

ToolParameterTypes tool_parameter_types(const boost::json::array& tools) {
  ToolParameterTypes types;
  for (const json::Value& tool : tools) {
    const json::Object* function = tool.is_object() ? object_at(tool.get_object(), "function") : nullptr;
    const json::Value* name = function == nullptr ? nullptr : function->if_contains("name");
    const json::Object* schema = name == nullptr ? nullptr : object_at(*function, "parameters");
    const json::Object* properties = schema == nullptr ? nullptr : object_at(*schema, "properties");
    if (properties == nullptr) continue;
    auto& parameters = types[std::string(text_of(*name))];
    for (const auto& [key, property] : *properties) {
      if (!property.is_object()) continue;
      SchemaType type = schema_type(property.get_object(), *schema, 0);
      if (type.type.empty()) type.type = "string";
      parameters[std::string(key)] = type.type + (type.nullable ? "?" : "");
    }
  }
  return types;
}

bool is_plain_string(std::string_view type) {
  constexpr std::string_view kNames[] = {"", "string", "str", "text", "varchar", "char", "enum"};
  return std::find(std::begin(kNames), std::end(kNames), type) != std::end(kNames);
}

std::string parameter_json(std::string_view value, std::string_view type) {
  if (is_plain_string(type)) return json::quote(value);
  const bool nullable = type.ends_with('?');
  if (nullable) type.remove_suffix(1);
  const std::string_view bare = trim(value);
  const std::string word = lower(bare);
  if (word == "null" || word == "none") return "null";
  if (is_plain_string(type)) return json::quote(value);
  std::string typed = typed_json(bare, type);
  return typed.empty() ? json::quote(value) : typed;
}

}  // namespace pegainfer::chat

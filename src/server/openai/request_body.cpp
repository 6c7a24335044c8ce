#include "server/openai/request_body.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/json.h"

namespace pegainfer::openai {

Result<json::Value> parse_object(std::string_view body) {
  ASSIGN_OR_RETURN(json::Value value, json::parse(body));
  if (value.is_object()) return value;
  return invalid_argument(fmt::format("the body is {}; it must be a JSON object", json::kind_name(value)), "",
                          "invalid_type");
}

Result<std::string> parse_model(const json::Object& body, std::span<const std::string> served) {
  const json::Value* value = json::find(body, "model");
  if (value == nullptr && !body.contains("model")) return served.front();
  if (value == nullptr || !value->is_string())
    return invalid_argument("model must be a string", "model", "invalid_type");
  const std::string_view name = value->get_string();
  if (std::ranges::find(served, name) != served.end() && name != kAnyModel) return std::string(name);
  const bool any = std::ranges::find(served, kAnyModel) != served.end();
  if (any && !name.empty() && name.size() <= kMaxModelName) return std::string(name);
  if (name.size() > kMaxModelName)
    return invalid_argument(
        fmt::format("model is a name of {} bytes; at most {} are allowed", name.size(), kMaxModelName),
        "model", "out_of_range");
  Error error = not_found(fmt::format("the model {} does not exist; this server has {}", json::quote(name),
                                      json::quote(served.front())));
  error.param = "model";
  error.type = "model_not_found";
  return error;
}

}  // namespace pegainfer::openai

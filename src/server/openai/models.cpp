#include "server/openai/models.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/json.h"
#include "server/openai/request_body.h"

namespace pegainfer::openai {
namespace {

std::string format_card(std::string_view name, std::string_view root, const ModelCard& card) {
  return fmt::format(
      R"({{"id":{},"object":"model","created":{},"owned_by":"pegainfer","root":{},"parent":null,"max_model_len":{},)"
      R"("meta":{{"n_ctx":{},"n_vocab":{}}}}})",
      json::quote(name), card.created, json::quote(root), card.max_model_len, card.max_model_len,
      card.vocab_size);
}

}  // namespace

std::string format_models(std::span<const std::string> names, const ModelCard& card) {
  std::string out = R"({"object":"list","data":[)";
  for (const std::string& name : names) {
    if (name == kAnyModel) continue;
    if (&name != &names.front()) out += ',';
    out += format_card(name, names.front(), card);
  }
  return out + "]}";
}

Result<std::string> format_model(std::string_view name, std::span<const std::string> names,
                                 const ModelCard& card) {
  const auto has = [&](std::string_view wanted) { return std::ranges::find(names, wanted) != names.end(); };
  if ((has(name) && name != kAnyModel) || (has(kAnyModel) && !name.empty() && name.size() <= kMaxModelName))
    return format_card(name, names.front(), card);
  Error error =
      not_found(fmt::format("this model does not exist; this server has {}", json::quote(names.front())));
  error.param = "model";
  error.type = "model_not_found";
  return error;
}

}  // namespace pegainfer::openai

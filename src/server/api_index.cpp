#include "server/api_index.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "server/version.h"

namespace pegainfer::server {
namespace {

struct Field {
  std::string_view name;
  std::string_view schema;  // JSON
};

constexpr std::string_view kString = R"({"type":"string"})";
constexpr std::string_view kInteger = R"({"type":"integer"})";
constexpr std::string_view kNumber = R"({"type":"number"})";
constexpr std::string_view kBoolean = R"({"type":"boolean"})";
constexpr std::string_view kStrings =
    R"({"anyOf":[{"type":"string"},{"type":"array","items":{"type":"string"}}]})";
constexpr std::string_view kIds = R"({"type":"array","items":{"type":"integer"}})";
constexpr std::string_view kPrompt =
    R"({"anyOf":[{"type":"string"},{"type":"array","items":{"anyOf":[{"type":"string"},{"type":"integer"},)"
    R"({"type":"array","items":{"type":"integer"}}]}}]})";
constexpr std::string_view kObjects = R"({"type":"array","items":{"type":"object"}})";
constexpr std::string_view kObject = R"({"type":"object"})";

// Of what generates; docs/api.md has all that is understood.
constexpr std::array kGenerate = {Field{"model", kString},
                                  Field{"max_tokens", kInteger},
                                  Field{"temperature", kNumber},
                                  Field{"top_p", kNumber},
                                  Field{"top_k", kInteger},
                                  Field{"min_p", kNumber},
                                  Field{"presence_penalty", kNumber},
                                  Field{"frequency_penalty", kNumber},
                                  Field{"repetition_penalty", kNumber},
                                  Field{"seed", kInteger},
                                  Field{"stop", kStrings},
                                  Field{"stop_token_ids", kIds},
                                  Field{"n", kInteger},
                                  Field{"stream", kBoolean},
                                  Field{"stream_options", kObject},
                                  Field{"ignore_eos", kBoolean},
                                  Field{"priority", kInteger}};
constexpr std::array kCompletion = {Field{"prompt", kPrompt}, Field{"echo", kBoolean},
                                    Field{"logprobs", kInteger}};
constexpr std::array kChat = {Field{"messages", kObjects}, Field{"tools", kObjects},
                              Field{"max_completion_tokens", kInteger}, Field{"logprobs", kBoolean},
                              Field{"top_logprobs", kInteger}};
constexpr std::array kTokenize = {Field{"prompt", kString}, Field{"add_special_tokens", kBoolean}};
constexpr std::array kDetokenize = {Field{"tokens", kIds}};

struct Operation {
  std::string_view path;
  std::string_view summary;
  std::span<const Field> fields = {};  // of the body; the first one must be there
  bool generates = false;              // and kGenerate
};

constexpr std::array kOperations = {
    Operation{"/v1/completions", "Continue a prompt", kCompletion, true},
    Operation{"/v1/chat/completions", "Answer a conversation", kChat, true},
    Operation{"/chat/completions", "As /v1/chat/completions", kChat, true},
    Operation{"/apply-template", "The prompt of a conversation, as text", kChat},
    Operation{"/v1/chat/completions/render", "The prompt of a conversation, as text and tokens", kChat},
    Operation{"/v1/models", "The models that can be asked for"},
    Operation{"/v1/models/{id}", "One of them"},
    Operation{"/models", "As /v1/models"},
    Operation{"/tokenize", "Text to token ids", kTokenize},
    Operation{"/detokenize", "Token ids to text", kDetokenize},
    Operation{"/health", "200 while requests are served"},
    Operation{"/readyz", "As /health"},
    Operation{"/ping", "As /health"},
    Operation{"/health_generate", "As /health"},
    Operation{"/livez", "200 while the process answers"},
    Operation{"/version", "The version of this server"},
    Operation{"/metrics", "Metrics in Prometheus' text format"},
    Operation{"/load", "Requests under way (as vLLM says it)"},
    Operation{"/get_load", "Requests and tokens under way (as SGLang says it)"},
    Operation{"/server_info", "The configuration (as SGLang says it)"},
    Operation{"/get_server_info", "As /server_info"},
    Operation{"/model_info", "The model (as SGLang says it)"},
    Operation{"/get_model_info", "As /model_info"},
    Operation{"/props", "Model and defaults (as llama-server says it)"},
    Operation{"/reset_prefix_cache", "Forget every cached prefix"},
    Operation{"/flush_cache", "As /reset_prefix_cache"},
    Operation{"/start_profile", "Begin a trace (--trace-dir)"},
    Operation{"/stop_profile", "End it and write it to a file"},
    Operation{"/", "This list"},
    Operation{"/docs", "This list, for browsers"},
    Operation{"/openapi.json", "This list, for tools"},
};

const Operation* find_operation(std::string_view path) {
  const auto* found = std::ranges::find(kOperations, path, &Operation::path);
  return found == kOperations.end() ? nullptr : found;
}

std::string_view summary_of(std::string_view path) {
  const Operation* operation = find_operation(path);
  return operation == nullptr ? std::string_view() : operation->summary;
}

std::string body_schema(const Operation& operation) {
  std::string properties;
  const auto add = [&](std::span<const Field> fields) {
    for (const Field& field : fields) {
      if (!properties.empty()) properties += ',';
      fmt::format_to(std::back_inserter(properties), R"("{}":{})", field.name, field.schema);
    }
  };
  add(operation.fields);
  if (operation.generates) add(kGenerate);
  return fmt::format(R"({{"type":"object","required":["{}"],"properties":{{{}}}}})",
                     operation.fields.front().name, properties);
}

std::string describe(const http::Route& route) {
  std::string name = route.method;
  for (const char c : route.path) name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  std::string out =
      fmt::format(R"("operationId":{},"summary":{})", json::quote(name), json::quote(summary_of(route.path)));
  const size_t brace = route.path.find('{');
  if (brace != std::string::npos) {
    fmt::format_to(std::back_inserter(out),
                   R"(,"parameters":[{{"name":"{}","in":"path","required":true,"schema":{}}}])",
                   route.path.substr(brace + 1, route.path.size() - brace - 2), kString);
  }
  const Operation* operation = find_operation(route.path);
  if (operation != nullptr && !operation->fields.empty()) {
    fmt::format_to(std::back_inserter(out),
                   R"(,"requestBody":{{"required":true,"content":{{"application/json":{{"schema":{}}}}}}})",
                   body_schema(*operation));
  }
  return out +
         R"(,"responses":{"200":{"description":"OK"},"default":{"description":"an error: {\"error\": {\"message\", \"type\", \"param\", \"code\"}}"}})";
}

std::string as_text(const std::vector<http::Route>& table) {
  std::string out = fmt::format("pegainfer {}\n\n", kVersion);
  for (const http::Route& route : table)
    fmt::format_to(std::back_inserter(out), "{:<5}{:<30}{}\n", route.method, route.path,
                   summary_of(route.path));
  return out;
}

// Nothing of it comes from outside.
std::string as_html(const std::vector<http::Route>& table) {
  std::string out = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><title>pegainfer</title>"
      "<h1>pegainfer {}</h1><p><a href=openapi.json>openapi.json</a></p><table>",
      kVersion);
  for (const http::Route& route : table) {
    fmt::format_to(std::back_inserter(out), "<tr><td>{}<td><code>{}</code><td>{}", route.method, route.path,
                   summary_of(route.path));
  }
  return out + "</table></html>\n";
}

}  // namespace

std::string openapi_json(const std::vector<http::Route>& table) {
  std::vector<std::string_view> paths;
  for (const http::Route& route : table)
    if (std::ranges::find(paths, route.path) == paths.end()) paths.emplace_back(route.path);
  std::string out = fmt::format(
      R"({{"openapi":"3.1.0","info":{{"title":"pegainfer","version":"{}"}},"paths":{{)", kVersion);
  for (const std::string_view path : paths) {
    fmt::format_to(std::back_inserter(out), "{}{}:{{", path == paths.front() ? "" : ",", json::quote(path));
    char separator = ' ';
    for (const http::Route& route : table) {
      if (route.path != path) continue;
      std::string method = route.method;
      std::ranges::transform(method, method.begin(),
                             [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      fmt::format_to(std::back_inserter(out), R"({}"{}":{{{}}})", std::exchange(separator, ','), method,
                     describe(route));
    }
    out += '}';
  }
  return out + "}}";
}

void add_api_index(std::vector<http::Route>& table) {
  const auto pages = std::make_shared<std::array<http::Response, 3>>();
  const auto page = [pages](size_t i) -> http::Handler {
    return [pages, i](const http::Request& /*request*/, const http::ResponderPtr& responder) {
      responder->send((*pages)[i]);
    };
  };
  table.push_back({"GET", "/", page(0)});
  table.push_back({"GET", "/docs", page(1)});
  table.push_back({"GET", "/openapi.json", page(2)});
  (*pages)[0] = {.body = as_text(table), .content_type = "text/plain; charset=utf-8"};
  (*pages)[1] = {.body = as_html(table), .content_type = "text/html; charset=utf-8"};
  (*pages)[2] = {.body = openapi_json(table)};
}

}  // namespace pegainfer::server

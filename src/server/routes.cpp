#include "server/routes.h"

#include <utility>

#include "server/api_index.h"
#include "server/service.h"

namespace pegainfer::server {

std::vector<http::Route> routes(Service& service) {
  using Method = void (Service::*)(const http::Request&, http::ResponderPtr);
  const auto to = [&service](Method method) -> http::Handler {
    return [&service, method](http::Request request, http::ResponderPtr responder) {
      (service.*method)(request, std::move(responder));
    };
  };
  using enum http::Access;
  std::vector<http::Route> table = {
      {"POST", "/v1/completions", to(&Service::completions)},
      {"POST", "/v1/chat/completions", to(&Service::chat_completions)},
      {"POST", "/chat/completions", to(&Service::chat_completions)},
      {"POST", "/v1/chat/completions/render", to(&Service::render_chat)},
      {"POST", "/apply-template", to(&Service::apply_template)},
      {"GET", "/v1/models", to(&Service::models)},
      {"GET", "/v1/models/{id}", to(&Service::model)},
      {"POST", "/tokenize", to(&Service::tokenize)},
      {"POST", "/detokenize", to(&Service::detokenize)},
      {"GET", "/health", to(&Service::health)},
      {"GET", "/readyz", to(&Service::health), kOpen},
      {"GET", "/livez", to(&Service::live), kOpen},
      {"GET", "/version", to(&Service::version)},
      {"GET", "/metrics", to(&Service::metrics)},
      {"POST", "/reset_prefix_cache", to(&Service::reset_prefix_cache), kAdmin},
      {"POST", "/flush_cache", to(&Service::reset_prefix_cache), kAdmin},
      {"POST", "/start_profile", to(&Service::start_profile), kAdmin},
      {"POST", "/stop_profile", to(&Service::stop_profile), kAdmin},
      {"GET", "/ping", to(&Service::health)},
      {"GET", "/health_generate", to(&Service::health)},
      {"GET", "/models", to(&Service::models)},
      {"GET", "/load", to(&Service::load)},
      {"GET", "/get_load", to(&Service::load_list)},
      {"GET", "/server_info", to(&Service::server_info)},
      {"GET", "/get_server_info", to(&Service::server_info)},
      {"GET", "/model_info", to(&Service::model_info)},
      {"GET", "/get_model_info", to(&Service::model_info)},
      {"GET", "/props", to(&Service::props)},
  };
  add_api_index(table);
  return table;
}

}  // namespace pegainfer::server

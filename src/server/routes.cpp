#include "server/routes.h"

#include <utility>

#include "server/service.h"

namespace pegainfer::server {

std::vector<http::Route> routes(Service& service) {
  using Method = void (Service::*)(const http::Request&, http::ResponderPtr);
  const auto to = [&service](Method method) -> http::Handler {
    return [&service, method](http::Request request, http::ResponderPtr responder) {
      (service.*method)(request, std::move(responder));
    };
  };
  return {
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
      {"GET", "/readyz", to(&Service::health)},
      {"GET", "/livez", to(&Service::live)},
      {"GET", "/version", to(&Service::version)},
      {"GET", "/metrics", to(&Service::metrics)},
      {"POST", "/reset_prefix_cache", to(&Service::reset_prefix_cache)},
      {"POST", "/start_profile", to(&Service::start_profile)},
      {"POST", "/stop_profile", to(&Service::stop_profile)},
  };
}

}  // namespace pegainfer::server

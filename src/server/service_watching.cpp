// The endpoints that show what the server does: metrics and profiles.
#include <fmt/core.h>

#include <utility>

#include "base/json.h"
#include "server/service.h"

namespace pegainfer::server {
namespace {

void answer_not_found(http::Responder& responder, std::string message) {
  responder.send(http::error_response(404, {.message = std::move(message), .code = "not_found"}));
}

constexpr const char* kNoTraceDir = "The server was started without --trace-dir: it keeps no profiles";

http::Response profile_response(const Result<std::string>& path) {
  if (!path) return to_response(openai::to_api_error(path.error()));
  http::Response response;
  response.body = fmt::format(R"({{"path":{}}})", json::quote(*path));
  return response;
}

}  // namespace

void Service::metrics(const http::Request& /*request*/, http::ResponderPtr responder) {
  if (!watching_.metrics) return answer_not_found(*responder, "This server has no metrics");
  http::Response response;
  response.body = watching_.metrics();
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  responder->send(std::move(response));
}

void Service::start_profile(const http::Request& /*request*/, http::ResponderPtr responder) {
  if (!watching_.start_profile) return answer_not_found(*responder, kNoTraceDir);
  const Status started = watching_.start_profile();
  if (!started) return responder->send(to_response(openai::to_api_error(started.error())));
  responder->send({.body = R"({"status":"ok"})"});
}

// Writing takes a while, so the worker does it; the responder waits here under a number.
void Service::stop_profile(const http::Request& /*request*/, http::ResponderPtr responder) {
  if (!watching_.stop_profile) return answer_not_found(*responder, kNoTraceDir);
  const uint64_t id = ++num_jobs_started_;
  waiting_[id] = responder;
  responder->on_disconnect([this, id] { waiting_.erase(id); });
  const bool accepted = worker_.run([this, id, stop = watching_.stop_profile, poster = *poster_] {
    poster.post([this, id, path = stop()] {
      const auto found = waiting_.find(id);
      if (found == waiting_.end()) return;
      found->second->send(profile_response(path));
      waiting_.erase(id);
    });
  });
  if (accepted) return;
  waiting_.erase(id);
  responder->send(to_response(
      openai::to_api_error(resource_exhausted("too much is waiting to be tokenized; try again later"))));
}

}  // namespace pegainfer::server

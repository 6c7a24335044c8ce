// How a handler answers one request: with a whole response, or with a stream of events.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/message.h"

namespace pegainfer::http {

// Used on the server's thread only. A handler may keep it and answer later; when the last owner lets go of
// one that was never answered the client gets a 500. Everything is a no-op once the client has left.
class Responder {
 public:
  virtual ~Responder() = default;

  virtual void send(Response response) = 0;

  // text/event-stream: begin, any number of events, end.
  virtual void begin_stream() = 0;
  // `frame` is complete, with its "data: " and empty line.
  virtual void write(std::string_view frame) = 0;
  virtual void end_stream() = 0;

  // Called at most once, on the server's thread, when the client leaves or is dropped before the end. Not
  // called after the end. The callback may let go of the responder.
  virtual void on_disconnect(std::function<void()> callback) = 0;
};
using ResponderPtr = std::shared_ptr<Responder>;

using Handler = std::function<void(Request, ResponderPtr)>;

}  // namespace pegainfer::http

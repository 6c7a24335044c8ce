// The table of endpoints.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/result.h"
#include "server/http/responder.h"

namespace pegainfer::http {

// Who may have a route, where API keys are asked for at all (api_keys.h).
enum class Access : uint8_t {
  kKey,    // whoever has a key: what nothing else is said of
  kOpen,   // everybody
  kAdmin,  // the administrator: it changes the state of the server for everyone
};

struct Route {
  std::string method;  // GET routes answer HEAD as well
  std::string path;    // exact, or ending in "/{name}": then one non-empty rest, which may hold slashes
  Handler handler;
  Access access = Access::kKey;
};

class Router {
 public:
  Router() = default;
  explicit Router(std::vector<Route> routes) : routes_(std::move(routes)) {}

  struct Match {
    const Route* route = nullptr;  // null: see `allow`
    std::string path_tail;         // what stood for {name}, percent-decoded
    std::string allow;             // the methods of this path, "" when the path is unknown
  };
  // Paths are compared byte by byte: no decoding, no dot segments, no doubled slashes, so that there is one
  // spelling of each.
  [[nodiscard]] Match match(std::string_view method, std::string_view path) const;
  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }
  // Opens the GET route of this path to everybody; an error when there is none.
  Status open(std::string_view path);

 private:
  std::vector<Route> routes_;
};

// "%41" to "A"; what is not a valid escape stays as it is.
std::string percent_decode(std::string_view text);

}  // namespace pegainfer::http

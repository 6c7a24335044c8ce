// The table of endpoints.
#pragma once

#include <vector>

#include "server/http/router.h"

namespace pegainfer::server {

class Service;

// The handlers refer to `service`, which must outlive them.
std::vector<http::Route> routes(Service& service);

}  // namespace pegainfer::server

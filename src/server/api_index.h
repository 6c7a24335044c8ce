// What the server says of its own endpoints: GET / in words, /docs for browsers, /openapi.json for tools.
#pragma once

#include <string>
#include <vector>

#include "server/http/router.h"

namespace pegainfer::server {

// Adds the three routes; they tell of all that are in `table` by then, and of themselves.
void add_api_index(std::vector<http::Route>& table);

// OpenAPI 3.1 of the table.
std::string openapi_json(const std::vector<http::Route>& table);

}  // namespace pegainfer::server

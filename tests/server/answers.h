// What tests of both generating endpoints read out of answers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace pegainfer::testing {

// A failure of the test, and null, where it is no JSON.
json::Value parse(std::string_view text);
std::string text_of(const json::Value& value);

// Ids and `created` differ from run to run: "ID" and 0 in their places.
std::string without_identity(std::string text);

// The data of each server-sent event, one line each.
std::vector<std::string> events(const std::string& body);

}  // namespace pegainfer::testing

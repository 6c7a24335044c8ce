// What the bodies of all endpoints share: being a JSON object, and naming a model. For .cpp files.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "pegainfer/result.h"

namespace boost::json {
class object;
class value;
}  // namespace boost::json

namespace pegainfer::openai {

// Among the names a server has: it answers to every name.
inline constexpr std::string_view kAnyModel = "*";
inline constexpr size_t kMaxModelName = 256;

Result<boost::json::value> parse_object(std::string_view body);

// The name answers carry: the one asked for, or the first when none is. Another name is kNotFound.
Result<std::string> parse_model(const boost::json::object& body, std::span<const std::string> served);

}  // namespace pegainfer::openai

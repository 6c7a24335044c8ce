// Parameters of the ecosystem that would change the result and that we do not implement. They are refused by
// name, never ignored; with a value that changes nothing they are accepted, as many clients send all they
// know.
#pragma once

#include <string_view>
#include <vector>

#include "pegainfer/result.h"

namespace boost::json {
class object;
}

namespace pegainfer::openai {

Status refuse_unsupported_completion_fields(const boost::json::object& body);

// Their names.
std::vector<std::string_view> refused_fields();

}  // namespace pegainfer::openai

// The types of tools' parameters, and values that are written as bare text turned into JSON by them.
#pragma once

#include <string>
#include <string_view>

#include "chat/output_parser.h"

namespace boost::json {
class array;
}

namespace pegainfer::chat {

// Of `tools` as a request has them: [{"type": "function", "function": {"name", "parameters": {..}}}, ..].
// Entries of another form are left out. A union is of its first type that is not null; references into the
// schema's own definitions are followed.
ToolParameterTypes tool_parameter_types(const boost::json::array& tools);

// "": strings. Such a value can be given away while it comes.
[[nodiscard]] bool is_plain_string(std::string_view type);
// The JSON text of a value of `type`. What cannot be one of its type becomes a string: nothing is lost.
[[nodiscard]] std::string parameter_json(std::string_view value, std::string_view type);

}  // namespace pegainfer::chat

// The messages of a chat: from every form clients send to the one that templates read. For .cpp files.
#pragma once

#include <cstddef>
#include <string>

#include "pegainfer/result.h"

namespace boost::json {
class array;
class value;
}  // namespace boost::json

namespace pegainfer::openai {

// Checks `value` (the request's messages) and gives them in the forms that chat::ChatTemplate takes: roles
// known, content a string or parts of text, calls in tool_calls, no nulls. `developer_role`: the template
// knows it; false: it becomes system.
Result<boost::json::array> normalize_messages(const boost::json::value& value, bool developer_role,
                                              size_t max_messages);

// The text of a message's content, parts joined; "" when it has none.
std::string content_text(const boost::json::value& message);

}  // namespace pegainfer::openai

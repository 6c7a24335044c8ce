// tools and tool_choice of a chat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chat/output_parser.h"
#include "pegainfer/result.h"

namespace boost::json {
class array;
class object;
}  // namespace boost::json

namespace pegainfer::openai {

enum class ToolChoice : uint8_t { kNone, kAuto, kRequired, kNamed };

struct ChatTools {
  std::shared_ptr<const boost::json::array> list;  // as templates see them; null: none
  std::vector<std::string> names;
  chat::ToolParameterTypes parameter_types;
  ToolChoice choice = ToolChoice::kNone;
  std::string named;     // the one of kNamed
  bool parallel = true;  // more than one call may come
};

Result<ChatTools> parse_tools(const boost::json::object& body, size_t max_tools);

}  // namespace pegainfer::openai

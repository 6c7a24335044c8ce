// A request's messages, tools and variables as values of the template language, with what transformers and
// vLLM do to them before a template sees them.
#pragma once

#include "chat/jinja/value.h"
#include "pegainfer/result.h"

namespace boost::json {
class array;
class object;
class value;
}  // namespace boost::json

namespace pegainfer::chat {

// JSON as a template sees it; all of its strings are untrusted. `bytes` grows by their sizes.
jinja::Value template_value(const boost::json::value& value, size_t& bytes);

enum class ContentForm : uint8_t {
  kString,  // a list of text parts becomes one string, joined by newlines
  kAny,     // as it came
  kParts,   // a string becomes a list of one text part
};

// - keys whose value is null are left out, but for `content`
// - content in its form
// - arguments of tool calls that are the text of a JSON object become that object, and "" becomes {}
// - reasoning under whichever name of reasoning_content, reasoning and thinking is there under all of them
// - a role of the well-known ones is trusted: templates build tokens like <|user|> of it
Result<std::vector<jinja::Value>> template_messages(const boost::json::array& messages, ContentForm form,
                                                    size_t& bytes);

// continue_final_message: marks where the last message's content ends, and cuts a rendered text there.
struct ContinuedMessage {
  std::string content;  // of the last message, or of its last text part
};
Result<ContinuedMessage> mark_final_message(std::vector<jinja::Value>& messages);
Status cut_after_final_message(jinja::Text& text, const ContinuedMessage& message);

}  // namespace pegainfer::chat

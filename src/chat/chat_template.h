// A model's chat template: messages to the text of a prompt, byte for byte as transformers'
// apply_chat_template renders it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pegainfer/result.h"
#include "pegainfer/tokenizer.h"

namespace boost::json {
class array;
class object;
}  // namespace boost::json

namespace pegainfer::chat {

// `untrusted` are the bytes that came from the request, through whatever the template did with them.
struct RenderedText {
  std::string text;
  std::vector<TextSpan> untrusted;  // ascending, apart from each other; for EncodeOptions::untrusted
};

// What a template sees. Null: not defined, as in transformers (`tools` and `documents` are then none).
struct RenderInputs {
  const boost::json::array* messages = nullptr;  // as the request has them
  const boost::json::array* tools = nullptr;
  const boost::json::array* documents = nullptr;
  const boost::json::object* kwargs = nullptr;  // chat_template_kwargs: further variables
  bool add_generation_prompt = true;
  bool continue_final_message = false;                       // the text ends within the last message
  std::optional<std::chrono::system_clock::time_point> now;  // of strftime_now; empty: the clock's
};

class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;

  // `special_tokens`: bos_token, eos_token, ... of tokenizer_config.json, variables of the template.
  // An error names row and column.
  static Result<std::shared_ptr<const ChatTemplate>> compile(
      std::string source, std::map<std::string, std::string> special_tokens);

  // kInvalidArgument with type "template_error" where the template raises or a limit is reached. Any thread.
  [[nodiscard]] virtual Result<RenderedText> render(const RenderInputs& inputs) const = 0;
  [[nodiscard]] virtual const std::string& source() const = 0;
  // Message content goes in as a list of parts ("openai") and not as a string: the template iterates over it.
  [[nodiscard]] virtual bool wants_content_parts() const = 0;
};

}  // namespace pegainfer::chat

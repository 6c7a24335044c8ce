// Chat templates: hostile ones and hostile messages end within limits, and what is said to be untrusted lies
// in the text.
#include "base/json.h"
#include "base/utf8.h"
#include "chat/chat_template.h"
#include "fuzz.h"

namespace pegainfer::chat {
namespace {

const json::Array* array_of(const json::Object& object, std::string_view key) {
  const json::Value* value = json::find(object, key);
  return value == nullptr ? nullptr : value->if_array();
}

void check_render(const ChatTemplate& chat_template, const RenderInputs& inputs) {
  const Result<RenderedText> rendered = chat_template.render(inputs);
  if (!rendered) {
    fuzz::check_message(utf8::sanitize(rendered.error().message));
    return;
  }
  size_t done = 0;
  for (const TextSpan& span : rendered->untrusted) {
    CHECK(done <= span.begin && span.begin <= span.end && span.end <= rendered->text.size(),
          "[{}, {}) after {} of {}", span.begin, span.end, done, rendered->text.size());
    done = span.end;
  }
}

}  // namespace
}  // namespace pegainfer::chat

// Input: the template, a NUL, and an object with messages, tools, documents and kwargs.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer;
  using namespace pegainfer::chat;
  fuzz::Input input(data, size);
  const auto compiled =
      ChatTemplate::compile(std::string(input.until('\0')), {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
  if (!compiled) {
    fuzz::check_message(utf8::sanitize(compiled.error().message));
    return 0;
  }
  const auto parsed = json::parse(input.rest());
  static const json::Object kEmpty;
  const json::Object& object = parsed && parsed->is_object() ? parsed->get_object() : kEmpty;
  RenderInputs inputs;
  inputs.messages = array_of(object, "messages");
  static const json::Array kNone;
  if (inputs.messages == nullptr) inputs.messages = &kNone;
  inputs.tools = array_of(object, "tools");
  inputs.documents = array_of(object, "documents");
  if (const json::Value* kwargs = json::find(object, "kwargs")) inputs.kwargs = kwargs->if_object();
  check_render(**compiled, inputs);
  inputs.add_generation_prompt = false;
  inputs.continue_final_message = true;
  check_render(**compiled, inputs);
  (void)(*compiled)->wants_content_parts();
  return 0;
}

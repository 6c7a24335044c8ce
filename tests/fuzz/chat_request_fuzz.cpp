// Chats, from the body to token ids: a prompt within its limits or a 4xx, and the only control tokens are
// those that the template writes.
#include <algorithm>

#include "base/json.h"
#include "fuzz.h"
#include "server/openai/api_error.h"
#include "server/openai/chat_request.h"

namespace pegainfer::openai {
namespace {

constexpr const char* kTemplate = R"({%- if tools %}<|im_start|>system
<tools>{% for t in tools %}{{ t | tojson }}{% endfor %}</tools> <tool_call>{<|endoftext|>
{% endif -%}
{%- for m in messages -%}
<|im_start|>{{ m['role'] + '\n' }}{% if m.content is string %}{{ m.content | trim }}{% else %}{{ m.content | tojson }}{% endif %}
{%- for c in m.tool_calls or [] %}{{ c.function.name ~ c.function.arguments }}{% endfor %}<|endoftext|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
<think>{% endif %})";

void check_refusal(const Error& error) {
  fuzz::check_message(error.message);
  const ApiError api = to_api_error(error);
  CHECK(api.status >= 400 && api.status < 500, "{} for bad input: {}", api.status, api.message);
}

const chat::ChatModel& chat_model(const Tokenizer& tokenizer) {
  static const auto model = [&] {
    auto made = chat::make_chat_model({.chat_template = kTemplate, .tool_template = {}, .special_tokens = {}},
                                      {}, tokenizer);
    CHECK(made && (*made)->plain != nullptr, "the template does not compile");
    return *made;
  }();
  return *model;
}

// How often `token` is among the ids, and how often the template has written it.
void check_count(const ChatRequest& request, const ChatPrompt& prompt, const Tokenizer& tokenizer) {
  const auto count = [&](std::string_view token) {
    return static_cast<size_t>(
        std::count(prompt.ids.begin(), prompt.ids.end(), tokenizer.token_to_id(token)));
  };
  const size_t messages = request.messages->size();
  const bool tools = request.tools.list != nullptr && !request.tools.list->empty();
  const size_t begun = messages + (tools ? 1U : 0U) + (request.add_generation_prompt ? 1U : 0U);
  CHECK(count("<|im_start|>") <= begun, "{} turns in {}", count("<|im_start|>"), prompt.text);
  CHECK(count("<|endoftext|>") <= messages + (tools ? 1U : 0U), "{} ends in {}", count("<|endoftext|>"),
        prompt.text);
  CHECK(count("<think>") <= 1U, "{} thoughts in {}", count("<think>"), prompt.text);
}

}  // namespace
}  // namespace pegainfer::openai

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pegainfer;
  using namespace pegainfer::openai;
  static const std::vector<std::string> names{"first", "org/second"};
  static const Tokenizer& tokenizer = *fuzz::tokenizers().front();
  static const EngineInfo info{
      .vocab_size = tokenizer.vocab_size(), .max_model_len = 2048, .eos_token_ids = {}};
  static const SamplingDefaults defaults;
  static const ApiLimits limits;
  const chat::ChatModel& model = chat_model(tokenizer);
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  const auto request =
      parse_chat(body, {.model_names = names, .engine = info, .defaults = defaults, .limits = limits}, model);
  if (!request) {
    check_refusal(request.error());
    return 0;
  }
  CHECK(request->n >= 1 && request->n <= limits.max_n && request->messages != nullptr);
  const auto prompt = make_chat_prompt(*request, model, tokenizer);
  if (!prompt) {
    check_refusal(prompt.error());
    return 0;
  }
  check_count(*request, *prompt, tokenizer);
  return 0;
}

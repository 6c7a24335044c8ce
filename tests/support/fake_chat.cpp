#include "support/fake_chat.h"

#include <fmt/core.h>

#include <utility>

#include "base/json.h"

namespace pegainfer::testing {
namespace {

class FakeTemplate final : public chat::ChatTemplate {
 public:
  explicit FakeTemplate(FakeTemplateOptions options) : options_(std::move(options)) {}

  [[nodiscard]] Result<chat::RenderedText> render(const chat::RenderInputs& inputs) const override {
    if (!options_.raises.empty()) return invalid_argument(options_.raises, "", "template_error");
    chat::RenderedText out;
    if (inputs.tools != nullptr) out.text += fmt::format("[tools:{}]", inputs.tools->size());
    if (inputs.documents != nullptr) out.text += fmt::format("[documents:{}]", inputs.documents->size());
    if (inputs.kwargs != nullptr) {
      for (const auto& member : *inputs.kwargs)
        out.text += fmt::format("[{}={}]", std::string_view(member.key()), json::dump(member.value()));
    }
    for (const json::Value& message : *inputs.messages) add(message.as_object(), out);
    if (inputs.continue_final_message) {
      out.text.resize(out.text.size() - std::string_view("<|im_end|>\n").size());
    } else if (inputs.add_generation_prompt) {
      out.text += "<|im_start|>assistant\n" + options_.opens_with;
    }
    return out;
  }
  [[nodiscard]] const std::string& source() const override { return options_.source; }
  [[nodiscard]] bool wants_content_parts() const override { return false; }

 private:
  static void add(const json::Object& message, chat::RenderedText& out) {
    out.text += fmt::format("<|im_start|>{}\n", std::string_view(message.at("role").as_string()));
    for (const char* name : {"reasoning_content", "reasoning"})
      if (const auto* reasoning = message.if_contains(name))
        out.text += fmt::format("[{}:{}]", name, std::string_view(reasoning->as_string()));
    const size_t begin = out.text.size();
    const json::Value& content = message.at("content");
    if (content.is_string()) {
      out.text += content.get_string();
    } else {
      for (const json::Value& part : content.as_array())
        out.text += fmt::format("[part:{}]", std::string_view(part.at("text").as_string()));
    }
    if (out.text.size() > begin) out.untrusted.push_back({begin, out.text.size()});
    if (message.contains("tool_calls")) {
      for (const json::Value& call : message.at("tool_calls").as_array()) {
        const json::Object& function = call.at("function").as_object();
        out.text += fmt::format("[call:{} {}]", std::string_view(function.at("name").as_string()),
                                json::dump(function.at("arguments")));
      }
    }
    out.text += "<|im_end|>\n";
  }

  FakeTemplateOptions options_;
};

}  // namespace

std::shared_ptr<const chat::ChatTemplate> fake_template(FakeTemplateOptions options) {
  return std::make_shared<const FakeTemplate>(std::move(options));
}

chat::ChatModel fake_chat_model(FakeTemplateOptions options) {
  chat::ChatModel model;
  model.plain = fake_template(std::move(options));
  model.with_tools = model.plain;
  return model;
}

}  // namespace pegainfer::testing

#include "chat/chat_template.h"

#include "base/json.h"
#include "chat/jinja/template.h"
#include "chat/messages.h"

namespace pegainfer::chat {
namespace {

class JinjaTemplate final : public ChatTemplate {
 public:
  JinjaTemplate(std::string source, std::map<std::string, std::string> special_tokens,
                std::shared_ptr<const jinja::Template> compiled)
      : source_(std::move(source)),
        special_tokens_(std::move(special_tokens)),
        compiled_(std::move(compiled)) {
    wants_parts_ = compiled_->iterates_over("messages", "content");
    if (wants_parts_) form_ = takes_strings() ? ContentForm::kAny : ContentForm::kParts;
  }

  [[nodiscard]] Result<RenderedText> render(const RenderInputs& inputs) const override {
    return render(inputs, form_);
  }
  [[nodiscard]] const std::string& source() const override { return source_; }
  [[nodiscard]] bool wants_content_parts() const override { return wants_parts_; }

 private:
  [[nodiscard]] Result<RenderedText> render(const RenderInputs& inputs, ContentForm form) const {
    size_t bytes = 0;
    std::vector<jinja::Value> messages;
    if (inputs.messages != nullptr) {
      ASSIGN_OR_RETURN(messages, template_messages(*inputs.messages, form, bytes));
    }
    ContinuedMessage continued;
    if (inputs.continue_final_message) {
      if (source_.find("content") == std::string::npos) {
        return invalid_argument(
            "chat template: continue_final_message is set and the template reads no content", "",
            "template_error");
      }
      ASSIGN_OR_RETURN(continued, mark_final_message(messages));
    }
    const auto now = inputs.now.value_or(std::chrono::system_clock::now());
    auto text = compiled_->render(variables(inputs, std::move(messages), bytes), bytes, now);
    if (!text) return std::move(text).error();
    if (inputs.continue_final_message) RETURN_IF_ERROR(cut_after_final_message(*text, continued));
    return RenderedText{std::move(text->bytes), std::move(text->untrusted)};
  }

  [[nodiscard]] jinja::Template::Variables variables(const RenderInputs& inputs,
                                                     std::vector<jinja::Value> messages,
                                                     size_t& bytes) const {
    jinja::Template::Variables out;
    for (const auto& [name, token] : special_tokens_) out.emplace_back(name, jinja::Value::string(token));
    if (inputs.kwargs != nullptr) {
      for (const auto& [name, value] : *inputs.kwargs) out.emplace_back(name, template_value(value, bytes));
    }
    const auto list = [&](const boost::json::array* array) {
      return array != nullptr ? template_value(*array, bytes) : jinja::Value();
    };
    auto sequence = std::make_shared<jinja::List>();
    for (const jinja::Value& message : messages)
      sequence->depth = std::max(sequence->depth, message.depth() + 1);
    sequence->items = std::move(messages);
    out.emplace_back("messages", jinja::Value(jinja::ListPtr(std::move(sequence))));
    out.emplace_back("tools", list(inputs.tools));
    out.emplace_back("documents", list(inputs.documents));
    out.emplace_back("add_generation_prompt", jinja::Value(inputs.add_generation_prompt));
    return out;
  }

  // A template that iterates over content may still take it as a string: it is tried.
  [[nodiscard]] bool takes_strings() const {
    static constexpr std::string_view kNeedle = "a needle in a haystack";
    const boost::json::array messages{{{"role", "user"}, {"content", kNeedle}}};
    RenderInputs inputs;
    inputs.messages = &messages;
    const auto shows = [&](ContentForm form) {
      const auto text = render(inputs, form);
      return text && text->text.find(kNeedle) != std::string::npos;
    };
    return shows(ContentForm::kAny) || !shows(ContentForm::kParts);
  }

  std::string source_;
  std::map<std::string, std::string> special_tokens_;
  std::shared_ptr<const jinja::Template> compiled_;
  bool wants_parts_ = false;
  ContentForm form_ = ContentForm::kString;
};

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::compile(
    std::string source, std::map<std::string, std::string> special_tokens) {
  auto compiled = jinja::Template::compile(source);
  if (!compiled) return std::move(compiled).error();
  return std::shared_ptr<const ChatTemplate>(
      std::make_shared<JinjaTemplate>(std::move(source), std::move(special_tokens), *std::move(compiled)));
}

}  // namespace pegainfer::chat

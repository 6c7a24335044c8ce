#include "chat/output_parser.h"

#include <utility>

#include "chat/message_sink.h"
#include "chat/reasoning_splitter.h"
#include "chat/tool_parser.h"

namespace pegainfer::chat {
namespace {

std::unique_ptr<ToolParser> make_tool_parser(const OutputParserOptions& options, MessageSink& sink) {
  using Make = std::unique_ptr<ToolParser> (*)(const OutputParserOptions&, MessageSink&);
  static constexpr std::pair<std::string_view, Make> kMakers[] = {
      {"hermes", make_hermes_parser},
      {"qwen3_coder", make_qwen3_coder_parser},
      {"llama3_json", make_llama3_json_parser},
      {"pythonic", make_pythonic_parser},
      {"mistral", make_mistral_parser},
      {"deepseek_v3", make_deepseek_v3_parser},
      {"json", make_json_parser},
  };
  if (options.tool_names.empty()) return nullptr;
  for (const auto& [name, make] : kMakers) {
    if (name == options.tool_format) return make(options, sink);
  }
  return nullptr;
}

class SplittingParser final : public OutputParser {
 public:
  explicit SplittingParser(const OutputParserOptions& options)
      : options_(options),
        sink_(options.parallel_tool_calls, options.tool_format == "mistral"
                                               ? MessageSink::Ids::kNineAlphanumerics
                                               : MessageSink::Ids::kOfTheText),
        tools_(make_tool_parser(options_, sink_)) {
    if (options.reasoning) reasoning_.emplace(*options.reasoning, options.starts_in_reasoning);
  }

  OutputDelta push(std::string_view text) override {
    if (reasoning_) {
      const auto split = reasoning_->push(text);
      sink_.reasoning(split.reasoning);
      answer(split.content);
    } else {
      answer(text);
    }
    return sink_.take();
  }

  OutputDelta finish() override {
    if (reasoning_) {
      const auto split = reasoning_->finish();
      sink_.reasoning(split.reasoning);
      answer(split.content);
    }
    if (tools_) tools_->finish();
    return sink_.take();
  }

  [[nodiscard]] bool in_reasoning() const override { return reasoning_ && reasoning_->in_reasoning(); }

 private:
  void answer(std::string_view text) {
    if (text.empty()) return;
    if (tools_) {
      tools_->push(text);
    } else {
      sink_.verbatim(text);
    }
  }

  const OutputParserOptions options_;
  MessageSink sink_;
  std::optional<ReasoningSplitter> reasoning_;
  const std::unique_ptr<ToolParser> tools_;
};

}  // namespace

std::unique_ptr<OutputParser> make_output_parser(const OutputParserOptions& options) {
  return std::make_unique<SplittingParser>(options);
}

}  // namespace pegainfer::chat

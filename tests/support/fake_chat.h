// A chat template written in C++: ChatML, every content marked as untrusted.
#pragma once

#include <memory>
#include <string>

#include "chat/chat_model.h"

namespace pegainfer::testing {

struct FakeTemplateOptions {
  std::string source = "chatml";  // what a format is detected from
  std::string raises;             // not empty: render() is this error
  std::string opens_with{};       // behind the generation prompt: "<think>\n"
};

// "<|im_start|>user\nhi<|im_end|>\n" for each message; tools as "[tools:N]", kwargs as "[key=json]" at the
// beginning, calls as "[call:name json]", reasoning as "[reasoning:..]" or
// "[reasoning_content:..]", parts as "[part:..]".
std::shared_ptr<const chat::ChatTemplate> fake_template(FakeTemplateOptions options = {});

// The template for everything, no parsers.
chat::ChatModel fake_chat_model(FakeTemplateOptions options = {});

}  // namespace pegainfer::testing

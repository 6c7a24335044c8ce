// What a checkpoint's files and an operator's words make of a model that chats.
#include "chat/chat_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"

namespace pegainfer::chat {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Only a vocabulary: ids are positions in it, a "*" behind a token makes it special.
class Vocabulary final : public Tokenizer {
 public:
  explicit Vocabulary(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {}

  using Tokenizer::encode;
  [[nodiscard]] std::vector<TokenId> encode(std::string_view, EncodeOptions) const override { return {}; }
  [[nodiscard]] std::string decode(std::span<const TokenId>, bool) const override { return {}; }
  [[nodiscard]] std::unique_ptr<Stream> stream(bool) const override { return nullptr; }
  [[nodiscard]] std::string token_text(TokenId) const override { return {}; }
  [[nodiscard]] std::string token_bytes(TokenId) const override { return {}; }
  [[nodiscard]] int vocab_size() const override { return static_cast<int>(tokens_.size()); }
  [[nodiscard]] bool is_special(TokenId id) const override {
    return tokens_[static_cast<size_t>(id)].ends_with('*');
  }
  [[nodiscard]] TokenId token_to_id(std::string_view token) const override {
    const auto found = std::ranges::find_if(
        tokens_, [&](std::string_view known) { return known == token || known == std::string(token) + "*"; });
    return found == tokens_.end() ? -1 : static_cast<TokenId>(found - tokens_.begin());
  }
  [[nodiscard]] std::map<TokenId, std::string> plain_added_tokens() const override {
    std::map<TokenId, std::string> plain;
    for (TokenId id = 0; id < vocab_size(); ++id)
      if (!is_special(id)) plain.emplace(id, tokens_[static_cast<size_t>(id)]);
    return plain;
  }

 private:
  std::vector<std::string> tokens_;
};

// 0..7; the last is a mark without brackets, as of Kimi
const Vocabulary& vocabulary() {
  static const Vocabulary tokens({"hello", "<|im_end|>*", "<tool_call>", "</tool_call>*", "<think>",
                                  "</think>*", "[TOOL_CALLS]*",
                                  "\xE2\x97\x81"
                                  "end\xE2\x96\xB7"});
  return tokens;
}

const std::string kHermes = "{{ messages }}<tool_call></tool_call><|im_end|>";
const std::string kMistral = "{{ messages }}[TOOL_CALLS]";

std::shared_ptr<const ChatModel> make(const ChatFiles& files, const ChatOptions& options = {}) {
  auto model = make_chat_model(files, options, vocabulary());
  EXPECT_TRUE(model) << model.error().message;
  return model ? *model : std::make_shared<const ChatModel>();
}

ChatFiles files(std::string chat, std::string tools = "") {
  return {.chat_template = std::move(chat), .tool_template = std::move(tools), .special_tokens = {}};
}

TEST(ChatModel, NoTemplateIsAModelThatSaysSo) {
  const auto model = make(files(""));
  EXPECT_EQ(model->plain, nullptr);
  EXPECT_EQ(model->with_tools, nullptr);
  EXPECT_THAT(model->no_template, HasSubstr("no chat template"));
  EXPECT_THAT(model->no_template, HasSubstr("--chat-template"));
}

// A checkpoint can be served for completions whatever its templates are.
TEST(ChatModel, ATemplateThatDoesNotCompileIsNoneWithTheReason) {
  for (const ChatFiles& broken : {files("{% if %}"), files("{{ messages }}", "{% if %}")}) {
    const auto model = make(broken);
    EXPECT_EQ(model->plain, nullptr);
    EXPECT_EQ(model->with_tools, nullptr);
    EXPECT_THAT(model->no_template, HasSubstr("line 1, column"));
    EXPECT_THAT(model->no_template, HasSubstr("--chat-template"));
  }
}

TEST(ChatModel, OneTemplateServesBothUnlessThereIsAnotherForTools) {
  const auto one = make(files(kHermes));
  ASSERT_NE(one->plain, nullptr);
  EXPECT_EQ(one->plain, one->with_tools);
  EXPECT_EQ(one->plain->source(), kHermes);
  EXPECT_EQ(one->no_template, "");
  const auto two = make(files("{{ messages }}", kMistral));
  EXPECT_EQ(two->plain->source(), "{{ messages }}");
  EXPECT_EQ(two->with_tools->source(), kMistral);
}

TEST(ChatModel, SpecialTokensAreVariablesOfTheTemplates) {
  ChatFiles given = files("{{ bos_token }}");
  given.special_tokens = {{"bos_token", "<s>"}};
  const auto model = make(given);
  EXPECT_EQ(model->special_tokens, given.special_tokens);
  const json::Array none;
  EXPECT_EQ(model->plain->render({.messages = &none})->text, "<s>");
}

TEST(ChatModel, TheToolFormatIsThatOfTheTemplateThatShowsTools) {
  EXPECT_EQ(make(files(kHermes))->tool_format, "hermes");
  EXPECT_EQ(make(files(kMistral))->tool_format, "mistral");
  EXPECT_EQ(make(files(kHermes, kMistral))->tool_format, "mistral");
  EXPECT_EQ(make(files("{{ messages }}"))->tool_format, "json");  // an object that names a tool
  EXPECT_EQ(make(files(kHermes), {.tool_parser = "none"})->tool_format, "");
  EXPECT_EQ(make(files(kHermes), {.tool_parser = "mistral"})->tool_format, "mistral");
  EXPECT_EQ(make(files(kMistral), {.tool_parser = "qwen25"})->tool_format, "hermes");  // SGLang's name
}

TEST(ChatModel, ReasoningIsReadWhereTheTemplateKnowsItOrTheOperatorInsists) {
  const std::string thinks = "{{ messages }}<think></think>";
  ASSERT_TRUE(make(files(thinks))->reasoning);
  EXPECT_EQ(make(files(thinks))->reasoning->close, "</think>");
  EXPECT_EQ(make(files("[THINK][/THINK]"))->reasoning->open, "[THINK]");
  EXPECT_FALSE(make(files("{{ messages }}"))->reasoning);
  EXPECT_FALSE(make(files(thinks), {.reasoning_parser = "none"})->reasoning);
  const auto insisted = make(files("{{ messages }}"), {.reasoning_parser = "deepseek_r1"});
  ASSERT_TRUE(insisted->reasoning);
  EXPECT_EQ(insisted->reasoning->open, "<think>");
  EXPECT_EQ(make(files("[THINK][/THINK]"), {.reasoning_parser = "think"})->reasoning->open, "[THINK]");
}

// Special tokens are left out of the text, so the parsers would never see these.
TEST(ChatModel, SpecialMarksOfTheFormatsAreKept) {
  EXPECT_THAT(make(files(kHermes))->kept_tokens, ElementsAre(3));  // <tool_call> is text here as it is
  EXPECT_THAT(make(files(kHermes + "<think></think>"))->kept_tokens, ElementsAre(3, 5));
  EXPECT_THAT(make(files(kHermes), {.tool_parser = "none"})->kept_tokens, IsEmpty());
  EXPECT_THAT(make(files(kHermes), {.tool_parser = "mistral"})->kept_tokens, ElementsAre(6));
}

TEST(ChatModel, WhatTheTemplatesWriteCannotBeWrittenByARequest) {
  EXPECT_THAT(make(files(kHermes))->control_tokens, ElementsAre(2));  // special tokens never can
  EXPECT_THAT(make(files(kHermes, "{{ messages }}<think></think>"))->control_tokens, ElementsAre(2, 4));
  EXPECT_THAT(make(files(kHermes, kMistral + "\xE2\x97\x81"
                                             "end\xE2\x96\xB7"))
                  ->control_tokens,
              ElementsAre(2, 7));
  EXPECT_THAT(make(files("{{ messages }}<thi", "nk>"))->control_tokens, IsEmpty());
  EXPECT_THAT(make(files("{{ messages }} hello"))->control_tokens, IsEmpty());
}

TEST(ChatModel, NamesOfParsersAreThoseOfOtherServersToo) {
  for (const ToolFormat& format : tool_formats()) EXPECT_EQ(canonical_tool_parser(format.name), format.name);
  EXPECT_EQ(canonical_tool_parser("llama3"), "llama3_json");
  EXPECT_EQ(canonical_tool_parser("llama4_pythonic"), "pythonic");
  EXPECT_EQ(canonical_tool_parser("deepseekv3"), "deepseek_v3");
  EXPECT_EQ(canonical_tool_parser("qwen3_xml"), "qwen3_coder");
  EXPECT_EQ(canonical_tool_parser("nope"), "");
  EXPECT_EQ(canonical_reasoning_parser("qwen3"), "think");
  EXPECT_EQ(canonical_reasoning_parser("deepseek-r1"), "think");
  EXPECT_EQ(canonical_reasoning_parser(""), "none");
  EXPECT_EQ(canonical_reasoning_parser("nope"), "");
}

TEST(ChatModel, OptionsThatNameNothingAreRefusedWithWhatThereIs) {
  const auto tools = make_chat_model(files(kHermes), {.tool_parser = "nope"}, vocabulary());
  ASSERT_FALSE(tools);
  EXPECT_EQ(tools.error().param, "--tool-call-parser");
  EXPECT_THAT(tools.error().message, HasSubstr("hermes"));
  const auto reasoning = make_chat_model(files(""), {.reasoning_parser = "nope"}, vocabulary());
  ASSERT_FALSE(reasoning);
  EXPECT_EQ(reasoning.error().param, "--reasoning-parser");
  EXPECT_THAT(reasoning.error().message, HasSubstr("deepseek_r1"));
  EXPECT_TRUE(check_options({}));
  EXPECT_TRUE(check_options({.tool_parser = "none", .reasoning_parser = "none"}));
  EXPECT_FALSE(check_options({.tool_parser = "Hermes"}));
}

}  // namespace
}  // namespace pegainfer::chat

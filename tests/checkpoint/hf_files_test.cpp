// generation_config.json and tokenizer_config.json.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/config.h"

namespace pegainfer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string generation_error(std::string_view text) {
  const auto g = parse_generation_config(text, "g.json");
  return g ? std::string("accepted") : g.error().message;
}
std::string tokenizer_error(std::string_view text) {
  const auto t = parse_tokenizer_config(text, "t.json");
  return t ? std::string("accepted") : t.error().message;
}

TEST(GenerationConfig, ReadsWhatIsSaidAndNothingElse) {
  const auto g = parse_generation_config(R"({"temperature":0.6,"top_p":0.95,"min_p":0.01,"top_k":20,
      "repetition_penalty":1.05,"do_sample":true,"eos_token_id":[151645,151643],"pad_token_id":1,
      "transformers_version":"4.51.0"})",
                                         "g.json");
  ASSERT_TRUE(g.has_value()) << g.error().message;
  EXPECT_EQ(g->temperature, 0.6);
  EXPECT_EQ(g->top_p, 0.95);
  EXPECT_EQ(g->min_p, 0.01);
  EXPECT_EQ(g->top_k, 20);
  EXPECT_EQ(g->repetition_penalty, 1.05);
  EXPECT_EQ(g->do_sample, true);
  EXPECT_THAT(g->eos_token_ids, ElementsAre(151645, 151643));

  const auto empty =
      parse_generation_config(R"({"temperature":null,"top_k":null,"eos_token_id":null})", "g.json");
  ASSERT_TRUE(empty.has_value());
  EXPECT_EQ(empty->temperature, std::nullopt);
  EXPECT_EQ(empty->top_k, std::nullopt);
  EXPECT_EQ(empty->do_sample, std::nullopt);
  EXPECT_THAT(empty->eos_token_ids, IsEmpty());

  const auto zero = parse_generation_config(R"({"temperature":0,"top_k":-1,"eos_token_id":0})", "g.json");
  ASSERT_TRUE(zero.has_value());
  EXPECT_EQ(zero->temperature, 0.0);  // said, and not the same as missing
  EXPECT_EQ(zero->top_k, 0);
  EXPECT_THAT(zero->eos_token_ids, ElementsAre(0));
}

TEST(GenerationConfig, WrongValuesNameTheField) {
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"temperature":-0.1})", "temperature is -0.1"},
           {R"({"temperature":"hot"})", "temperature"},
           {R"({"top_p":1.5})", "top_p is 1.5, expected 0 to 1"},
           {R"({"min_p":-1})", "min_p is -1"},
           {R"({"top_k":-2})", "top_k is -2"},
           {R"({"top_k":1.5})", "top_k"},
           {R"({"top_k":99999999999})", "top_k"},
           {R"({"repetition_penalty":-1})", "repetition_penalty"},
           {R"({"do_sample":1})", "do_sample"},
           {R"({"eos_token_id":"x"})", "eos_token_id"},
           {R"({"eos_token_id":[-1]})", "eos_token_id"},
           {"[]", "expected an object"},
           {"", "invalid JSON"},
           {"{", "invalid JSON"}}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(generation_error(text), HasSubstr(message));
    EXPECT_THAT(generation_error(text), HasSubstr("g.json: "));
  }
}

TEST(TokenizerConfig, FindsTheEosToken) {
  const std::string decoder =
      R"("added_tokens_decoder":{"5":{"content":"<a>"},"7":{"content":"</s>","special":true}})";
  for (const std::string eos : {R"("</s>")", R"({"content":"</s>","lstrip":false,"__type":"AddedToken"})"}) {
    const auto t = parse_tokenizer_config(fmt::format(R"({{"eos_token":{},{}}})", eos, decoder), "t.json");
    ASSERT_TRUE(t.has_value()) << t.error().message;
    EXPECT_EQ(t->eos_token, "</s>");
    EXPECT_EQ(t->eos_token_id, 7);
  }
  const auto unknown = parse_tokenizer_config(R"({"eos_token":"<z>",)" + decoder + "}", "t.json");
  ASSERT_TRUE(unknown.has_value());
  EXPECT_EQ(unknown->eos_token, "<z>");
  EXPECT_EQ(unknown->eos_token_id, std::nullopt);
  const auto none = parse_tokenizer_config(R"({"eos_token":null})", "t.json");
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(none->eos_token, "");
}

TEST(TokenizerConfig, ChatTemplateIsATextOrAListWithADefault) {
  EXPECT_EQ(parse_tokenizer_config(R"({"chat_template":"{{x}}"})", "t.json")->chat_template, "{{x}}");
  EXPECT_EQ(parse_tokenizer_config(R"({"chat_template":[{"name":"tool_use","template":"T"},
      {"name":"default","template":"D"}]})",
                                   "t.json")
                ->chat_template,
            "D");
  EXPECT_EQ(
      parse_tokenizer_config(R"({"chat_template":[{"name":"rag","template":"R"}]})", "t.json")->chat_template,
      "");
  EXPECT_EQ(parse_tokenizer_config(R"({"chat_template":null})", "t.json")->chat_template, "");
}

TEST(TokenizerConfig, WrongValuesNameTheField) {
  for (const auto& [text, message] : std::vector<std::pair<std::string, std::string>>{
           {R"({"eos_token":7})", "eos_token is an integer"},
           {R"({"eos_token":{"text":"x"}})", "eos_token"},
           {R"({"chat_template":7})", "chat_template"},
           {R"({"chat_template":[7]})", "chat_template"},
           {R"({"chat_template":[{"name":"default"}]})", "chat_template"},
           {R"({"eos_token":"a","added_tokens_decoder":[]})", "added_tokens_decoder"},
           {R"({"eos_token":"a","added_tokens_decoder":{"x":{"content":"a"}}})", "has the key \"x\""},
           {R"({"eos_token":"a","added_tokens_decoder":{"-1":{"content":"a"}}})", "has the key \"-1\""},
           {R"({"eos_token":"a","added_tokens_decoder":{"1":{}}})", "content"},
           {R"({"eos_token":"a","added_tokens_decoder":{"1":7}})", "content"},
           {"null", "expected an object"}}) {
    SCOPED_TRACE(text);
    EXPECT_THAT(tokenizer_error(text), HasSubstr(message));
    EXPECT_THAT(tokenizer_error(text), HasSubstr("t.json: "));
  }
}

TEST(TokenizerConfig, AddedTokensOfTokenizerJson) {
  const std::string text =
      R"({"added_tokens":[{"id":3,"content":"<a>"},{"id":9,"content":"<b>"}],"model":{}})";
  EXPECT_EQ(*find_added_token(text, "t.json", "<b>"), 9);
  EXPECT_EQ(*find_added_token(text, "t.json", "<c>"), std::nullopt);
  EXPECT_EQ(*find_added_token("{}", "t.json", "<c>"), std::nullopt);
  EXPECT_FALSE(find_added_token("{", "t.json", "<c>").has_value());
  EXPECT_FALSE(
      find_added_token(R"({"added_tokens":[{"id":-3,"content":"<a>"}]})", "t.json", "<a>").has_value());
}

}  // namespace
}  // namespace pegainfer

#include "server/openai/chat_request.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/openai/api_error.h"
#include "support/fake_chat.h"
#include "support/fake_engine.h"
#include "support/fake_tokenizer.h"

namespace pegainfer::openai {
namespace {

using testing::fake_chat_model;
using testing::FakeTokenizer;

class ChatRequestTest : public ::testing::Test {
 protected:
  Result<ChatRequest> parse(std::string_view body) {
    return parse_chat(
        body, {.model_names = names_, .engine = info_, .defaults = defaults_, .limits = limits_}, model_);
  }
  Result<ChatRequest> with(const std::string& fields) {
    return parse(R"({"messages":[{"role":"user","content":"hi"}],)" + fields + "}");
  }
  std::string verdict(const Result<ChatRequest>& request) {
    if (request) return "";
    const ApiError error = to_api_error(request.error());
    return fmt::format("{} {} {}", error.status, error.code, error.param);
  }
  // "" when accepted, else "status code param".
  std::string verdict_of(const std::string& messages) {
    return verdict(parse(R"({"messages":)" + messages + "}"));
  }
  std::string verdict_with(const std::string& fields) { return verdict(with(fields)); }
  // The text of the prompt, or the error's message.
  std::string prompt_of(const std::string& messages, const std::string& fields = "") {
    const auto request = parse(R"({"messages":)" + messages + fields + "}");
    if (!request) return request.error().message;
    const auto prompt = make_chat_prompt(*request, model_, tokenizer_);
    return prompt ? prompt->text : prompt.error().message;
  }

  std::vector<std::string> names_ = {"first", "second"};
  EngineInfo info_ = testing::fake_engine_info();
  SamplingDefaults defaults_;
  ApiLimits limits_;
  chat::ChatModel model_ = fake_chat_model();
  FakeTokenizer tokenizer_;
};

constexpr const char* kTools =
    R"("tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},)"
    R"({"type":"function","function":{"name":"g"}}])";

TEST_F(ChatRequestTest, Defaults) {
  const auto request = parse(R"({"messages":[{"role":"user","content":"hi"}]})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->model, "first");
  EXPECT_FALSE(request->max_tokens_given);
  EXPECT_EQ(request->sampling.max_tokens, std::numeric_limits<int32_t>::max());
  EXPECT_EQ(request->sampling.logprobs, -1);
  EXPECT_EQ(request->n, 1);
  EXPECT_EQ(request->role, "assistant");
  EXPECT_TRUE(request->add_generation_prompt && request->include_reasoning);
  EXPECT_FALSE(request->continue_final_message || request->add_special_tokens || request->logprobs);
  EXPECT_EQ(request->tools.list, nullptr);
  EXPECT_EQ(request->tools.choice, ToolChoice::kNone);
}

TEST_F(ChatRequestTest, EveryFormOfMessages) {
  EXPECT_EQ(prompt_of(R"([{"role":"system","content":"be"},{"role":"user","content":"hi"}])"),
            "<|im_start|>system\nbe<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(prompt_of(R"([{"role":"developer","content":"be"}])"),
            "<|im_start|>system\nbe<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(prompt_of(R"([{"role":"user","content":[{"type":"text","text":"a"},"b",)"
                      R"({"type":"refusal","refusal":"c"}]}])"),
            "<|im_start|>user\n[part:a][part:b][part:c]<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(prompt_of(R"([{"role":"user","content":""}])"),
            "<|im_start|>user\n<|im_end|>\n<|im_start|>assistant\n");
  // Arguments as a string, an object, and nothing.
  EXPECT_EQ(
      prompt_of(R"([{"role":"assistant","content":null,"tool_calls":[)"
                R"({"id":"1","type":"function","function":{"name":"f","arguments":"{\"b\":1,\"a\":[]}"}},)"
                R"({"id":"2","type":"function","function":{"name":"g","arguments":{"x":null}}},)"
                R"({"id":"3","type":"function","function":{"name":"h"}}]},)"
                R"({"role":"tool","tool_call_id":"1","content":"42"}])"),
      R"(<|im_start|>assistant
[call:f "{\"b\":1,\"a\":[]}"][call:g {"x":null}][call:h {}]<|im_end|>
<|im_start|>tool
42<|im_end|>
<|im_start|>assistant
)");
  EXPECT_EQ(prompt_of(R"([{"role":"assistant","content":"x","reasoning":"why","tool_calls":[]}])"),
            "<|im_start|>assistant\n[reasoning:why]x<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(prompt_of(R"([{"role":"assistant","content":"x","reasoning_content":"r"}])"),
            "<|im_start|>assistant\n[reasoning_content:r]x<|im_end|>\n<|im_start|>assistant\n");
  // The deprecated forms.
  EXPECT_EQ(prompt_of(R"([{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},)"
                      R"({"role":"function","name":"f","content":"42"}])"),
            "<|im_start|>assistant\n[call:f \"{}\"]<|im_end|>\n<|im_start|>tool\n42<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST_F(ChatRequestTest, DevelopersAreKnownToSomeTemplates) {
  model_ = fake_chat_model({.source = "{% if message.role == 'developer' %}"});
  EXPECT_EQ(prompt_of(R"([{"role":"developer","content":"s"}])"),
            "<|im_start|>developer\ns<|im_end|>\n<|im_start|>assistant\n");
}

TEST_F(ChatRequestTest, BadMessages) {
  EXPECT_EQ(verdict(parse("{}")), "400 missing_parameter messages");
  EXPECT_EQ(verdict_of("null"), "400 missing_parameter messages");
  for (const char* wrong : {R"("x")", "{}", "3"}) EXPECT_EQ(verdict_of(wrong), "400 invalid_type messages");
  EXPECT_EQ(verdict_of("[]"), "400 invalid_value messages");
  EXPECT_EQ(verdict_of("[3]"), "400 invalid_type messages[0]");
  EXPECT_EQ(verdict_of("[{}]"), "400 missing_parameter messages[0].role");
  EXPECT_EQ(verdict_of(R"([{"role":123,"content":"x"}])"), "400 invalid_type messages[0].role");
  EXPECT_EQ(verdict_of(R"([{"role":"wizard","content":"x"}])"), "400 invalid_value messages[0].role");
  EXPECT_EQ(verdict_of(R"([{"role":"user"}])"), "400 missing_parameter messages[0].content");
  EXPECT_EQ(verdict_of(R"([{"role":"user","content":null}])"), "400 missing_parameter messages[0].content");
  EXPECT_EQ(verdict_of(R"([{"role":"user","content":5}])"), "400 invalid_type messages[0].content");
  EXPECT_EQ(verdict_of(R"([{"role":"user","content":[]}])"), "400 invalid_value messages[0].content");
  EXPECT_EQ(verdict_of(R"([{"role":"tool","content":"x"}])"),
            "400 missing_parameter messages[0].tool_call_id");
  EXPECT_EQ(verdict_of(R"([{"role":"function","content":"x"}])"), "400 missing_parameter messages[0].name");
  EXPECT_EQ(verdict_of(R"([{"role":"user","content":"x","name":3}])"), "400 invalid_type messages[0].name");
  for (const char* type : {"image_url", "input_audio", "video_url", "file", "nonsense"})
    EXPECT_EQ(verdict_of(fmt::format(
                  R"([{{"role":"user","content":[{{"type":"text","text":"x"}},{{"type":"{}"}}]}}])", type)),
              "400 unsupported_content messages[0].content[1]");
  EXPECT_EQ(verdict_of(R"([{"role":"user","content":[{"type":"text"}]}])"),
            "400 missing_parameter messages[0].content[0].text");
  EXPECT_EQ(verdict_of(R"([{"role":"user","content":[{"text":"x"}]}])"),
            "400 missing_parameter messages[0].content[0].type");
  EXPECT_EQ(verdict_of(R"([{"role":"assistant","tool_calls":{}}])"),
            "400 invalid_type messages[0].tool_calls");
  EXPECT_EQ(verdict_of(R"([{"role":"assistant","tool_calls":[{"id":"1","function":{}}]}])"),
            "400 missing_parameter messages[0].tool_calls[0].function.name");
  EXPECT_EQ(verdict_of(R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":3}}]}])"),
            "400 invalid_type messages[0].tool_calls[0].function.arguments");
  EXPECT_EQ(verdict_of(R"([{"role":"assistant"}])"), "");
  limits_.max_messages = 2;
  const std::string message = R"({"role":"user","content":"x"})";
  EXPECT_EQ(verdict_of("[" + message + "," + message + "]"), "");
  EXPECT_EQ(verdict_of("[" + message + "," + message + "," + message + "]"),
            "400 too_many_messages messages");
}

TEST_F(ChatRequestTest, Tools) {
  model_.tool_format = "hermes";
  const auto request = with(kTools);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->tools.choice, ToolChoice::kAuto);
  EXPECT_EQ(request->tools.names, (std::vector<std::string>{"f", "g"}));
  EXPECT_TRUE(request->tools.parallel);
  const std::string tools = std::string(kTools) + ",";
  EXPECT_EQ(with(tools + R"("tool_choice":"none")")->tools.list, nullptr);
  EXPECT_EQ(with(tools + R"("tool_choice":"required")")->tools.choice, ToolChoice::kRequired);
  EXPECT_EQ(with(tools + R"("tool_choice":{"type":"function","function":{"name":"g"}})")->tools.named, "g");
  EXPECT_FALSE(with(tools + R"("parallel_tool_calls":false)")->tools.parallel);
  EXPECT_EQ(verdict_with(R"("tools":[],"tool_choice":"none")"), "");
  EXPECT_EQ(verdict_with(R"("tools":null,"tool_choice":null,"parallel_tool_calls":null)"), "");
  EXPECT_EQ(verdict_with(R"("tool_choice":"auto")"), "");
  EXPECT_EQ(verdict_with(R"("tool_choice":"required")"), "400 invalid_value tool_choice");
  EXPECT_EQ(verdict_with(tools + R"("tool_choice":"sometimes")"), "400 invalid_value tool_choice");
  EXPECT_EQ(verdict_with(tools + R"("tool_choice":7)"), "400 invalid_type tool_choice");
  EXPECT_EQ(verdict_with(tools + R"("tool_choice":{"type":"function","function":{"name":"h"}})"),
            "400 invalid_value tool_choice");
  EXPECT_EQ(verdict_with(R"("tools":{})"), "400 invalid_type tools");
  EXPECT_EQ(verdict_with(R"("tools":[3])"), "400 invalid_type tools[0]");
  EXPECT_EQ(verdict_with(R"("tools":[{"type":"function"}])"), "400 missing_parameter tools[0].function");
  EXPECT_EQ(verdict_with(R"("tools":[{"type":"search","function":{"name":"f"}}])"),
            "400 invalid_value tools[0].type");
  const auto named = [](const std::string& name) {
    return R"({"type":"function","function":{"name":")" + name + R"("}})";
  };
  for (const std::string& name : {std::string("a b"), std::string(65, 'x'), std::string()})
    EXPECT_EQ(verdict_with(R"("tools":[)" + named(name) + "]"), "400 invalid_value tools[0].function.name");
  EXPECT_EQ(verdict_with(R"("tools":[)" + named(std::string(64, 'x')) + "]"), "");
  EXPECT_EQ(verdict_with(R"("tools":[)" + named("f") + "," + named("f") + "]"),
            "400 invalid_value tools[1].function.name");
  EXPECT_EQ(verdict_with(R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])"),
            "400 invalid_type tools[0].function.parameters");
  std::string many;
  for (int i = 0; i < 129; ++i) many += (i > 0 ? "," : "") + named(fmt::format("f{}", i));
  EXPECT_EQ(verdict_with(R"("tools":[)" + many + "]"), "400 out_of_range tools");
  EXPECT_EQ(verdict_with(R"("functions":[])"), "");
  EXPECT_EQ(verdict_with(R"("functions":[{"name":"f"}])"), "400 unsupported_parameter functions");
  EXPECT_EQ(verdict_with(R"("function_call":{"name":"f"})"), "400 unsupported_parameter function_call");
  model_.tool_format.clear();
  EXPECT_EQ(verdict_with(tools + R"("tool_choice":"required")"), "400 unsupported_parameter tool_choice");
}

TEST_F(ChatRequestTest, CallOpenings) {
  ChatTools tools{.names = {"f"}, .choice = ToolChoice::kNamed, .named = "f"};
  const auto opening = [&](const char* format) {
    model_.tool_format = format;
    return call_opening(model_, tools);
  };
  EXPECT_EQ(opening("hermes"), "<tool_call>\n{\"name\": \"f\", \"arguments\":");
  EXPECT_EQ(opening("llama3_json"), R"({"name": "f", "parameters":)");
  EXPECT_EQ(opening("mistral"), R"([TOOL_CALLS][{"name": "f", "arguments":)");
  EXPECT_EQ(opening("pythonic"), "[f(");
  EXPECT_EQ(opening("qwen3_coder"), "<tool_call>\n<function=f>\n");
  tools.choice = ToolChoice::kRequired;
  EXPECT_EQ(opening("hermes"), "<tool_call>\n{\"name\":");
  tools.choice = ToolChoice::kAuto;
  EXPECT_EQ(opening("hermes"), "");
}

TEST_F(ChatRequestTest, AForcedCallIsBegunUnlessTheModelThinksFirst) {
  model_.tool_format = "hermes";
  model_.reasoning = chat::ReasoningFormat{.name = "think"};
  const std::string user = R"([{"role":"user","content":"hi"}])";
  const std::string fields = std::string(",") + kTools + R"(,"tool_choice":"required")";
  EXPECT_TRUE(prompt_of(user, fields).ends_with("<|im_start|>assistant\n<tool_call>\n{\"name\":"));
  model_.plain = model_.with_tools = testing::fake_template({.opens_with = "<think>\n"});
  EXPECT_TRUE(prompt_of(user, fields).ends_with("<|im_start|>assistant\n<think>\n"));
}

TEST_F(ChatRequestTest, LengthsAndLogprobs) {
  EXPECT_EQ(with(R"("max_tokens":5)")->sampling.max_tokens, 5);
  EXPECT_EQ(with(R"("max_completion_tokens":7)")->sampling.max_tokens, 7);
  const auto both = with(R"("max_tokens":5,"max_completion_tokens":7)");
  EXPECT_EQ(both->sampling.max_tokens, 7);
  EXPECT_TRUE(both->max_tokens_given);
  EXPECT_EQ(verdict_with(R"("max_tokens":0)"), "400 out_of_range max_tokens");
  EXPECT_EQ(verdict_with(R"("max_tokens":5,"max_completion_tokens":7,"min_tokens":6)"), "");
  EXPECT_EQ(verdict_with(R"("max_tokens":9,"max_completion_tokens":7,"min_tokens":8)"),
            "400 out_of_range min_tokens");
  EXPECT_EQ(verdict_with(R"("max_tokens":5,"min_tokens":6)"), "400 out_of_range min_tokens");
  EXPECT_EQ(verdict_with(R"("min_tokens":6000)"), "");
  EXPECT_EQ(verdict_with(R"("n_predict":0)"), "400 out_of_range n_predict");
  EXPECT_EQ(verdict_with(R"("max_completion_tokens":0)"), "400 out_of_range max_completion_tokens");
  EXPECT_EQ(verdict_with(R"("max_completion_tokens":"5")"), "400 invalid_type max_completion_tokens");
  EXPECT_EQ(verdict_with(R"("max_tokens":null)"), "");
  EXPECT_EQ(with(R"("logprobs":true)")->sampling.logprobs, 0);
  EXPECT_EQ(with(R"("logprobs":true,"top_logprobs":20)")->sampling.logprobs, 20);
  EXPECT_EQ(verdict_with(R"("logprobs":true,"top_logprobs":21)"), "400 out_of_range top_logprobs");
  EXPECT_EQ(verdict_with(R"("top_logprobs":-1)"), "400 out_of_range top_logprobs");
  EXPECT_EQ(verdict_with(R"("top_logprobs":2)"), "400 invalid_value top_logprobs");
  EXPECT_EQ(verdict_with(R"("top_logprobs":0)"), "");
  EXPECT_EQ(with(R"("n_probs":3)")->sampling.logprobs, 3);
  EXPECT_TRUE(with(R"("n_probs":3)")->logprobs);
  EXPECT_EQ(with(R"("n_probs":0)")->sampling.logprobs, -1);
  EXPECT_EQ(with(R"("n_probs":3,"logprobs":true,"top_logprobs":2)")->sampling.logprobs, 2);
  EXPECT_EQ(verdict_with(R"("logprobs":3)"), "400 invalid_type logprobs");
  EXPECT_EQ(verdict_with(R"("n":0)"), "400 out_of_range n");
  EXPECT_EQ(verdict_with(R"("n":2,"best_of":2)"), "");
  EXPECT_EQ(verdict_with(R"("n":2,"best_of":1)"), "400 out_of_range best_of");
  EXPECT_EQ(verdict_with(R"("n":2,"best_of":3)"), "400 unsupported_parameter best_of");
  EXPECT_EQ(verdict_with(R"("n_predict":0)"), "400 out_of_range n_predict");
  EXPECT_EQ(with(R"("prompt_logprobs":3)")->sampling.prompt_logprobs, 3);
  EXPECT_EQ(with(R"("n":1)")->sampling.prompt_logprobs, -1);
  EXPECT_EQ(verdict_with(R"("prompt_logprobs":21)"), "400 out_of_range prompt_logprobs");
  EXPECT_EQ(verdict_with(R"("prompt_logprobs":0,"stream":true)"), "400 invalid_value prompt_logprobs");
}

TEST_F(ChatRequestTest, Continuation) {
  const std::string said = R"([{"role":"user","content":"hi"},{"role":"assistant","content":"Once"}])";
  EXPECT_EQ(prompt_of(said, R"(,"continue_final_message":true)"),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nOnce");
  EXPECT_EQ(prompt_of(said, R"(,"add_generation_prompt":false)"),
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nOnce<|im_end|>\n");
  EXPECT_EQ(verdict_with(R"("continue_final_message":true,"add_generation_prompt":true)"),
            "400 invalid_value continue_final_message");
  const auto echoed = parse(R"({"messages":)" + said + R"(,"continue_final_message":true,"echo":true})");
  EXPECT_EQ(echoed->echo_text, "Once");
  EXPECT_EQ(echoed->role, "assistant");
}

TEST_F(ChatRequestTest, TemplateVariables) {
  const std::string user = R"([{"role":"user","content":"hi"}])";
  model_.options.kwargs =
      std::make_shared<const json::Object>(json::parse(R"({"a":1,"enable_thinking":true})")->as_object());
  EXPECT_TRUE(prompt_of(user).starts_with("[a=1][enable_thinking=true]<"));
  EXPECT_TRUE(prompt_of(user, R"(,"chat_template_kwargs":{"a":2,"b":"x"})")
                  .starts_with(R"([a=2][enable_thinking=true][b="x"]<)"));
  EXPECT_TRUE(prompt_of(user, R"(,"reasoning_effort":"none")")
                  .starts_with(R"([a=1][enable_thinking=false][reasoning_effort="none"][thinking=false]<)"));
  EXPECT_TRUE(
      prompt_of(user, R"(,"reasoning_effort":"low","chat_template_kwargs":{"reasoning_effort":"own"})")
          .starts_with(R"([a=1][enable_thinking=true][reasoning_effort="own"]<)"));
  EXPECT_TRUE(prompt_of(user, R"(,"documents":[{"text":"d"}])").starts_with("[documents:1]"));
  EXPECT_EQ(verdict_with(R"("reasoning_effort":"much")"), "400 invalid_value reasoning_effort");
  EXPECT_EQ(verdict_with(R"("chat_template_kwargs":[])"), "400 invalid_type chat_template_kwargs");
  for (const char* name : {"messages", "tools", "add_generation_prompt", "bos_token", "chat_template"})
    EXPECT_EQ(verdict_with(fmt::format(R"("chat_template_kwargs":{{"{}":1}})", name)),
              "400 invalid_value chat_template_kwargs");
  EXPECT_EQ(verdict_with(R"("documents":["x"])"), "400 invalid_type documents");
}

TEST_F(ChatRequestTest, TemplatesThatCannotBeUsed) {
  EXPECT_EQ(verdict_with(R"("chat_template":"x")"), "400 unsupported_parameter chat_template");
  model_ = fake_chat_model({.raises = "line 1, column 2: no"});
  const auto request = parse(R"({"messages":[{"role":"user","content":"hi"}]})");
  ASSERT_TRUE(request);
  const auto prompt = make_chat_prompt(*request, model_, tokenizer_);
  ASSERT_FALSE(prompt);
  const ApiError error = to_api_error(prompt.error());
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.code, "template_error");
  EXPECT_EQ(error.message, "line 1, column 2: no");
  model_ = {};
  model_.no_template = "give --chat-template";
  EXPECT_EQ(verdict_of(R"([{"role":"user","content":"hi"}])"), "400 no_chat_template messages");
}

TEST_F(ChatRequestTest, IgnoredAndRefusedFields) {
  EXPECT_EQ(
      verdict_with(R"("user":"u","store":true,"metadata":{"a":"b"},"service_tier":"auto","verbosity":"low",)"
                   R"("prompt_cache_key":"k","safety_identifier":"s","modalities":["text"],"new_field":1)"),
      "");
  EXPECT_EQ(verdict_with(R"("user":")" + std::string(100'000, 'x') + "\""), "400 out_of_range user");
  EXPECT_EQ(verdict_with(R"("metadata":{"a":")" + std::string(100'000, 'x') + "\"}"),
            "400 out_of_range metadata");
  EXPECT_EQ(verdict_with(R"("modalities":["text","audio"])"), "400 unsupported_parameter modalities");
  EXPECT_EQ(verdict_with(R"("response_format":{"type":"text"})"), "");
  EXPECT_EQ(verdict_with(R"("response_format":{"type":"xml"})").substr(0, 3), "400");
  EXPECT_EQ(verdict_with(R"("stream":"true")"), "400 invalid_type stream");
  EXPECT_EQ(verdict_with(R"("stream":1)"), "400 invalid_type stream");
  EXPECT_EQ(verdict_with(R"("stream":null)"), "");
  EXPECT_EQ(verdict_with(R"("stream_options":{"include_usage":true})"), "400 invalid_value stream_options");
  EXPECT_EQ(verdict_with(R"("cache_salt":"")"), "400 invalid_value cache_salt");
  EXPECT_EQ(verdict_with(R"("model":"third")"), "404 model_not_found model");
  names_ = {"first", "*"};
  EXPECT_EQ(with(R"("model":"third")")->model, "third");
  EXPECT_EQ(parse(R"({"messages":[{"role":"user","content":"hi"}]})")->model, "first");
}

}  // namespace
}  // namespace pegainfer::openai

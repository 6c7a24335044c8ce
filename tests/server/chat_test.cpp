// /v1/chat/completions from socket to engine and back, with an engine whose tokens and a template whose text
// are known.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/answers.h"
#include "server/http_client.h"
#include "server/openai/chat_request.h"
#include "server/test_server.h"

namespace pegainfer::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kUser = R"([{"role":"user","content":"hi"}])";
constexpr const char* kTools =
    R"(,"tools":[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g"}}])";

HttpAnswer chat(const TestServer& server, std::string_view fields, std::string_view messages = kUser,
                std::string_view path = "/v1/chat/completions") {
  const auto answer = ask(server.port(), post(path, fmt::format(R"({{"messages":{}{}}})", messages, fields)));
  return answer.value_or(HttpAnswer{});
}

// What a client makes of a stream.
struct Said {
  std::string role, content, reasoning, finish;
  std::map<int64_t, std::pair<std::string, std::string>> calls;  // name, arguments
  std::vector<std::string> call_ids;
  std::string logprob_tokens;
};

Said put_together(const std::string& body, int64_t choice = 0) {
  Said said;
  auto all = events(body);
  EXPECT_EQ(all.back(), "[DONE]");
  all.pop_back();
  for (const std::string& event : all) {
    const json::Value value = parse(event);
    for (const json::Value& c : value.at("choices").as_array()) {
      if (c.at("index").as_int64() != choice) continue;
      EXPECT_EQ(said.finish, "") << "something after the end";
      const json::Object& delta = c.at("delta").as_object();
      if (const auto* role = delta.if_contains("role")) said.role += text_of(*role);
      if (const auto* content = delta.if_contains("content")) said.content += text_of(*content);
      if (const auto* text = delta.if_contains("reasoning_content")) said.reasoning += text_of(*text);
      if (const auto* calls = delta.if_contains("tool_calls")) {
        for (const json::Value& call : calls->as_array()) {
          auto& [name, arguments] = said.calls[call.at("index").as_int64()];
          const json::Object& function = call.at("function").as_object();
          if (const auto* given = function.if_contains("name")) name += text_of(*given);
          arguments += text_of(function.at("arguments"));
          if (const auto* id = call.as_object().if_contains("id")) said.call_ids.push_back(text_of(*id));
        }
      }
      if (!c.at("logprobs").is_null())
        for (const json::Value& entry : c.at("logprobs").at("content").as_array())
          said.logprob_tokens += text_of(entry.at("token"));
      if (!c.at("finish_reason").is_null()) said.finish = text_of(c.at("finish_reason"));
    }
  }
  return said;
}

TestServerOptions scripted(std::string text) {
  TestServerOptions options;
  options.engine.script = [text = std::move(text)](const GenerateRequest&) { return text_script(text); };
  return options;
}

// A model that calls tools as Hermes does and thinks.
TestServerOptions agent(std::string text) {
  TestServerOptions options = scripted(std::move(text));
  options.chat.tool_format = "hermes";
  options.chat.reasoning = chat::ReasoningFormat{.name = "think"};
  return options;
}

TEST(Chat, WholeAnswerExactly) {
  TestServer server(scripted("Hey"));
  const auto answer = chat(server, "");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  EXPECT_EQ(
      without_identity(answer.body),
      R"({"id":"chatcmpl-ID","object":"chat.completion","created":0,"model":"fake-model","choices":[{"index":0,)"
      R"("message":{"role":"assistant","content":"Hey","refusal":null},"logprobs":null,"finish_reason":"stop",)"
      R"("stop_reason":null}],"usage":{"prompt_tokens":21,"completion_tokens":4,"total_tokens":25,)"
      R"("prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}})");
  // <|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n
  const auto prompt = server.engine().submitted().front().prompt;
  EXPECT_EQ(prompt.front(), FakeTokenizer::kImStart);
  EXPECT_EQ(FakeTokenizer().decode(prompt, true), "user\nhi\nassistant\n");
  EXPECT_EQ(server.engine().submitted().front().sampling.max_tokens, 2048 - 21);
  EXPECT_EQ(without_identity(chat(server, "", kUser, "/chat/completions").body),
            without_identity(answer.body));
}

TEST(Chat, StreamExactly) {
  TestServer server(scripted("Hey"));
  const auto answer =
      chat(server, R"(,"stream":true,"max_tokens":2,"stream_options":{"include_usage":true})");
  EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream; charset=utf-8");
  const std::string head =
      R"(data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":0,"model":"fake-model",)";
  const std::string tail = "\"usage\":null}\n\n";
  EXPECT_EQ(
      without_identity(answer.body),
      head +
          R"("choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],)" +
          tail + head +
          R"("choices":[{"index":0,"delta":{"content":"H"},"logprobs":null,"finish_reason":null}],)" + tail +
          head + R"("choices":[{"index":0,"delta":{"content":"e"},"logprobs":null,"finish_reason":null}],)" +
          tail + head +
          R"("choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length","stop_reason":null}],)" +
          tail + head +
          R"("choices":[],"usage":{"prompt_tokens":21,"completion_tokens":2,"total_tokens":23,)"
          R"("prompt_tokens_details":{"cached_tokens":0},"completion_tokens_details":{"reasoning_tokens":0}}})"
          "\n\ndata: [DONE]\n\n");
}

TEST(Chat, TheRoleLeavesWithTheFirstToken) {
  auto options = scripted("Hey");
  options.engine.token_interval = std::chrono::milliseconds(30);
  TestServer server(options);
  const auto answer = chat(server, R"(,"stream":true)");
  ASSERT_FALSE(answer.chunks.empty());
  EXPECT_THAT(answer.chunks.front(), HasSubstr(R"("role":"assistant")"));
  EXPECT_THAT(answer.chunks.front(), HasSubstr(R"("content":"H")"));
}

TEST(Chat, UsageOnEveryChunkWhenAskedFor) {
  TestServer server(scripted("Hey"));
  auto all = events(
      chat(server, R"(,"stream":true,"stream_options":{"include_usage":true,"continuous_usage_stats":true})")
          .body);
  all.pop_back();
  int64_t last = 0;
  for (const std::string& event : all) {
    const int64_t tokens = parse(event).at("usage").at("completion_tokens").as_int64();
    EXPECT_GE(tokens, last);
    last = tokens;
  }
  EXPECT_EQ(last, 4);
}

TEST(Chat, SeveralChoices) {
  auto options = scripted("");
  options.engine.script = [](const GenerateRequest& request) {
    return text_script(fmt::format("choice {}", *request.sampling.seed));
  };
  TestServer server(options);
  const auto whole = parse(chat(server, R"(,"n":3,"seed":5)").body);
  const std::string stream = chat(server, R"(,"n":3,"seed":5,"stream":true)").body;
  for (size_t i = 0; i < 3; ++i) {
    const json::Value& choice = whole.at("choices").at(i);
    EXPECT_EQ(choice.at("index").as_int64(), static_cast<int64_t>(i));
    EXPECT_EQ(text_of(choice.at("message").at("content")), fmt::format("choice {}", 5 + i));
    const Said said = put_together(stream, static_cast<int64_t>(i));
    EXPECT_EQ(said.content, fmt::format("choice {}", 5 + i));
    EXPECT_EQ(said.role, "assistant");
    EXPECT_EQ(said.finish, "stop");
  }
  EXPECT_EQ(whole.at("usage").at("prompt_tokens").as_int64(), 21);
  EXPECT_EQ(whole.at("usage").at("completion_tokens").as_int64(), 27);
}

TEST(Chat, StopStringsAndTokens) {
  TestServer server(scripted("one two three"));
  const auto choice = parse(chat(server, R"(,"stop":[" two"])").body).at("choices").at(0);
  EXPECT_EQ(text_of(choice.at("message").at("content")), "one");
  EXPECT_EQ(text_of(choice.at("stop_reason")), " two");
  const std::string stream = chat(server, R"(,"stop":[" two"],"stream":true)").body;
  EXPECT_EQ(put_together(stream).content, "one");
  EXPECT_THAT(stream, HasSubstr(R"("finish_reason":"stop","stop_reason":" two")"));
  const auto by_id = parse(chat(server, R"(,"stop_token_ids":[116])").body).at("choices").at(0);
  EXPECT_EQ(text_of(by_id.at("message").at("content")), "one ");
  EXPECT_EQ(by_id.at("stop_reason").as_int64(), 116);
}

TEST(Chat, Logprobs) {
  TestServer server(scripted("\xC3\xA9!"));  // é is two tokens here
  const auto whole = parse(chat(server, R"(,"logprobs":true,"top_logprobs":2)").body).at("choices").at(0);
  const json::Array& content = whole.at("logprobs").at("content").as_array();
  ASSERT_EQ(content.size(), 3U);
  EXPECT_EQ(json::dump(content[0].at("bytes")), "[195]");
  EXPECT_EQ(json::dump(content[1].at("bytes")), "[169]");
  EXPECT_EQ(json::dump(content[2]), R"({"token":"!","logprob":-0.25,"bytes":[33],"top_logprobs":[)"
                                    R"({"token":"!","logprob":-0.25,"bytes":[33]},)"
                                    R"({"token":"\"","logprob":-0.75,"bytes":[34]}]})");
  EXPECT_TRUE(whole.at("logprobs").at("refusal").is_null());
  const Said said = put_together(chat(server, R"(,"logprobs":true,"stream":true)").body);
  EXPECT_EQ(said.content, "\xC3\xA9!");
  EXPECT_EQ(said.logprob_tokens, "\xEF\xBF\xBD\xEF\xBF\xBD!");
  const auto none = parse(chat(server, R"(,"logprobs":true)").body).at("choices").at(0);
  EXPECT_TRUE(none.at("logprobs").at("content").at(0).at("top_logprobs").as_array().empty());
}

TEST(Chat, PromptLogprobs) {
  auto options = scripted("Hi");
  options.engine.info.max_model_len = 64;
  TestServer server(options);
  const auto whole = parse(chat(server, R"(,"prompt_logprobs":1,"n":2,"return_token_ids":true)").body);
  const json::Array& ids = whole.at("prompt_token_ids").as_array();
  const json::Array& positions = whole.at("prompt_logprobs").as_array();
  ASSERT_EQ(positions.size(), ids.size());
  EXPECT_TRUE(positions[0].is_null());
  for (size_t i = 1; i < ids.size(); ++i)
    EXPECT_TRUE(positions[i].as_object().contains(json::dump(ids[i]))) << i << json::dump(positions[i]);
  EXPECT_FALSE(parse(chat(server, "").body).as_object().contains("prompt_logprobs"));
}

TEST(Chat, TokenIdsAndPromptText) {
  TestServer server(scripted("Hi"));
  const auto whole = parse(chat(server, R"(,"return_token_ids":true,"return_prompt_text":true)").body);
  EXPECT_EQ(json::dump(whole.at("choices").at(0).at("token_ids")), "[72,105]");
  EXPECT_EQ(whole.at("prompt_token_ids").as_array().size(), 21U);
  EXPECT_EQ(text_of(whole.at("prompt_text")), "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n");
  const auto cut = parse(
      chat(server, R"(,"return_token_ids":true,"return_prompt_text":true,"truncate_prompt_tokens":12)").body);
  EXPECT_EQ(text_of(cut.at("prompt_text")), "\n<|im_start|>assistant\n");
  const auto all = events(chat(server, R"(,"return_token_ids":true,"stream":true)").body);
  EXPECT_EQ(parse(all[0]).at("prompt_token_ids").as_array().size(), 21U);
  EXPECT_EQ(json::dump(parse(all[1]).at("choices").at(0).at("token_ids")), "[72]");
}

TEST(Chat, ReasoningIsSplitOff) {
  for (const auto field : {chat::ReasoningField::kReasoningContent, chat::ReasoningField::kReasoning,
                           chat::ReasoningField::kBoth}) {
    auto options = agent("<think>why</think>because");
    options.chat.options.reasoning_field = field;
    TestServer server(options);
    const auto answer = parse(chat(server, "").body);
    const json::Object& message = answer.at("choices").at(0).at("message").as_object();
    EXPECT_EQ(text_of(message.at("content")), "because");
    EXPECT_EQ(message.contains("reasoning_content"), field != chat::ReasoningField::kReasoning);
    EXPECT_EQ(message.contains("reasoning"), field != chat::ReasoningField::kReasoningContent);
    EXPECT_THAT(json::dump(answer), HasSubstr(R"(:"why")"));
    const int64_t tokens =
        answer.at("usage").at("completion_tokens_details").at("reasoning_tokens").as_int64();
    EXPECT_GE(tokens, 3);
    EXPECT_LE(tokens, 18);
  }
}

TEST(Chat, ReasoningThatTheTemplateOpened) {
  auto options = agent("why</think>because");
  options.chat.plain = fake_template({.opens_with = "<think>\n"});
  TestServer server(options);
  const Said said = put_together(chat(server, R"(,"stream":true)").body);
  EXPECT_EQ(said.reasoning, "why");
  EXPECT_EQ(said.content, "because");
  const auto hidden = parse(chat(server, R"(,"include_reasoning":false)").body).at("choices").at(0);
  EXPECT_FALSE(hidden.at("message").as_object().contains("reasoning_content"));
  EXPECT_EQ(text_of(hidden.at("message").at("content")), "because");
}

TEST(Chat, ToolCalls) {
  TestServer server(
      agent("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
            "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>"));
  const auto answer = chat(server, kTools);
  EXPECT_THAT(
      without_identity(answer.body),
      HasSubstr(R"("message":{"role":"assistant","content":null,"tool_calls":[)"
                R"({"id":"call_ID","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},)"
                R"({"id":"call_ID","type":"function","function":{"name":"g","arguments":"{}"}}],)"
                R"("refusal":null},"logprobs":null,"finish_reason":"tool_calls","stop_reason":null})"));
  const Said said = put_together(chat(server, std::string(kTools) + R"(,"stream":true)").body);
  EXPECT_EQ(said.content, "");
  EXPECT_EQ(said.finish, "tool_calls");
  ASSERT_EQ(said.calls.size(), 2U);
  EXPECT_EQ(said.calls.at(0), (std::pair<std::string, std::string>{"f", R"({"a": 1})"}));
  EXPECT_EQ(said.calls.at(1), (std::pair<std::string, std::string>{"g", "{}"}));
  ASSERT_EQ(said.call_ids.size(), 2U);
  EXPECT_NE(said.call_ids[0], said.call_ids[1]);

  const auto first = parse(chat(server, std::string(kTools) + R"(,"parallel_tool_calls":false)").body);
  EXPECT_EQ(first.at("choices").at(0).at("message").at("tool_calls").as_array().size(), 1U);
  // Without tools, or when none may be called, the same text is content.
  for (const std::string& fields : {std::string(), std::string(kTools) + R"(,"tool_choice":"none")"}) {
    const auto none = parse(chat(server, fields).body).at("choices").at(0);
    EXPECT_FALSE(none.at("message").as_object().contains("tool_calls"));
    EXPECT_THAT(text_of(none.at("message").at("content")), HasSubstr("<tool_call>"));
    EXPECT_EQ(text_of(none.at("finish_reason")), "stop");
  }
}

TEST(Chat, ACallCutShortSaysLength) {
  TestServer server(agent("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>"));
  const Said said =
      put_together(chat(server, std::string(kTools) + R"(,"stream":true,"max_tokens":50)").body);
  EXPECT_EQ(said.finish, "length");
}

TEST(Chat, ANamedToolIsBegunForTheModel) {
  TestServer server(agent(" {\"a\": 1}}\n</tool_call>"));
  const std::string fields =
      std::string(kTools) + R"(,"tool_choice":{"type":"function","function":{"name":"g"}})";
  const auto choice = parse(chat(server, fields).body).at("choices").at(0);
  const json::Value& call = choice.at("message").at("tool_calls").at(0);
  EXPECT_EQ(text_of(call.at("function").at("name")), "g");
  EXPECT_EQ(json::dump(parse(text_of(call.at("function").at("arguments")))), R"({"a":1})");
  EXPECT_EQ(text_of(choice.at("finish_reason")), "stop");
  EXPECT_THAT(FakeTokenizer().decode(server.engine().submitted().front().prompt, true),
              ::testing::EndsWith("assistant\n<tool_call>\n{\"name\": \"g\", \"arguments\":"));
  const Said said = put_together(chat(server, fields + R"(,"stream":true)").body);
  ASSERT_EQ(said.calls.size(), 1U);
  EXPECT_EQ(said.calls.at(0).first, "g");
}

TEST(Chat, WhatIsNoCallAfterAllIsContent) {
  TestServer server(agent(" \"nobody\", \"arguments\": {}}\n</tool_call>"));
  const auto choice =
      parse(chat(server, std::string(kTools) + R"(,"tool_choice":"required")").body).at("choices").at(0);
  EXPECT_FALSE(choice.at("message").as_object().contains("tool_calls"));
  EXPECT_THAT(text_of(choice.at("message").at("content")), HasSubstr("nobody"));
  EXPECT_EQ(text_of(choice.at("finish_reason")), "stop");
}

TEST(Chat, MarksThatAreSpecialTokensReachTheParser) {
  TestServerOptions options;
  options.chat.reasoning = chat::ReasoningFormat{.name = "think", .open = "<|im_start|>", .close = "<|bos|>"};
  options.chat.kept_tokens = {FakeTokenizer::kBos, FakeTokenizer::kImStart};
  options.engine.script = [](const GenerateRequest&) {
    return FakeScript{
        .tokens = {FakeTokenizer::kImStart, 'r', FakeTokenizer::kBos, 'c', FakeTokenizer::kImEnd}};
  };
  TestServer server(options);
  const auto message = parse(chat(server, "").body).at("choices").at(0).at("message");
  EXPECT_EQ(text_of(message.at("reasoning_content")), "r");
  EXPECT_EQ(text_of(message.at("content")), "c");  // the other special token is skipped as ever
}

TEST(Chat, SpecialTokensInContentAreText) {
  // FakeTokenizer knows no untrusted text, so what reaches it is looked at.
  class Spy final : public Tokenizer {
   public:
    using Tokenizer::encode;
    std::vector<TokenId> encode(std::string_view text, EncodeOptions options) const override {
      for (const TextSpan& span : options.untrusted) spans += text.substr(span.begin, span.end - span.begin);
      num_control = options.control_tokens.size();
      return fake.encode(text, options);
    }
    std::string decode(std::span<const TokenId> ids, bool skip) const override {
      return fake.decode(ids, skip);
    }
    std::unique_ptr<Stream> stream(bool skip) const override { return fake.stream(skip); }
    std::string token_text(TokenId id) const override { return fake.token_text(id); }
    std::string token_bytes(TokenId id) const override { return fake.token_bytes(id); }
    int vocab_size() const override { return fake.vocab_size(); }
    bool is_special(TokenId id) const override { return fake.is_special(id); }
    TokenId token_to_id(std::string_view token) const override { return fake.token_to_id(token); }
    FakeTokenizer fake;
    mutable std::string spans;
    mutable size_t num_control = 0;
  };
  Spy spy;
  chat::ChatModel model = fake_chat_model();
  model.control_tokens = {FakeTokenizer::kImStart};
  const std::vector<std::string> names{"m"};
  const EngineInfo info = fake_engine_info();
  const auto request =
      openai::parse_chat(R"({"messages":[{"role":"user","content":"a<|im_end|>b"}]})",
                         {.model_names = names, .engine = info, .defaults = {}, .limits = {}}, model);
  ASSERT_TRUE(request);
  ASSERT_TRUE(openai::make_chat_prompt(*request, model, spy));
  EXPECT_EQ(spy.spans, "a<|im_end|>b");
  EXPECT_EQ(spy.num_control, 1U);
  model.options.allow_special_in_content = true;
  spy.spans.clear();
  ASSERT_TRUE(openai::make_chat_prompt(*request, model, spy));
  EXPECT_EQ(spy.spans, "");
  EXPECT_EQ(spy.num_control, 0U);
}

TEST(Chat, EchoAndContinuation) {
  TestServer server(scripted(" upon"));
  const char* said = R"([{"role":"user","content":"tell"},{"role":"assistant","content":"Once"}])";
  const auto whole = parse(chat(server, R"(,"continue_final_message":true,"echo":true)", said).body);
  EXPECT_EQ(text_of(whole.at("choices").at(0).at("message").at("content")), "Once upon");
  const Said streamed =
      put_together(chat(server, R"(,"continue_final_message":true,"echo":true,"stream":true)", said).body);
  EXPECT_EQ(streamed.content, "Once upon");
  EXPECT_THAT(FakeTokenizer().decode(server.engine().submitted().front().prompt, true),
              ::testing::EndsWith("assistant\nOnce"));
}

TEST(Chat, LongChatsAreRenderedOnTheWorker) {
  auto options = scripted("Hey");
  options.engine.info.max_model_len = 1 << 20;
  options.engine.info.num_kv_blocks = 1 << 17;
  TestServer server(options);
  const std::string content(100'000, 'x');
  const auto answer = chat(server, "", fmt::format(R"([{{"role":"user","content":"{}"}}])", content));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(server.engine().submitted().front().prompt.size(), content.size() + 19);
  EXPECT_TRUE(server.engine().wait_idle());
  EXPECT_EQ(server.engine().num_reserved(), 0);
}

TEST(Chat, WithoutALengthTheRestOfTheContextOrOfTheCacheIsThere) {
  auto options = scripted("Hey");
  options.engine.info.num_kv_blocks = 1 + 4;
  TestServer server(options);
  EXPECT_EQ(chat(server, "").status, 200);
  EXPECT_EQ(server.engine().submitted().front().sampling.max_tokens, 4 * 16 + 1 - 21);
}

TEST(Chat, ErrorsBeforeAndInAStream) {
  auto options = scripted("Hey");
  options.chat = fake_chat_model({.raises = "line 3, column 1: roles must alternate"});
  TestServer refusing(options);
  const auto refused = chat(refusing, R"(,"stream":true)");
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.body,
            R"({"error":{"message":"line 3, column 1: roles must alternate","type":"invalid_request_error",)"
            R"("param":"messages","code":"template_error"}})");
  EXPECT_TRUE(refusing.canary());
  EXPECT_EQ(refusing.engine().num_reserved(), 0);

  options = scripted("Hey");
  options.engine.manual = true;
  TestServer dying(options);
  HttpClient client(dying.port());
  client.send(post("/v1/chat/completions", fmt::format(R"({{"messages":{},"stream":true}})", kUser)));
  ASSERT_TRUE(dying.engine().wait_submitted(1));
  dying.engine().step();
  ASSERT_TRUE(client.read_until(R"("content":"H")"));
  dying.engine().kill("the device fell off");
  EXPECT_TRUE(client.read_until(R"(data: {"error":{"message":"the engine has failed","type":"server_error",)"
                                R"("param":null,"code":"engine_error"}})"));
  EXPECT_TRUE(client.read_until("data: [DONE]\n\n"));

  TestServer long_prompt(scripted("Hey"));
  const auto too_long =
      chat(long_prompt, "", fmt::format(R"([{{"role":"user","content":"{}"}}])", std::string(4000, 'x')));
  EXPECT_EQ(too_long.status, 400);
  EXPECT_THAT(too_long.body, HasSubstr("context_length_exceeded"));
}

TEST(Chat, AClientThatLeavesIsForgotten) {
  auto options = scripted("Hey");
  options.engine.manual = true;
  TestServer server(options);
  {
    HttpClient client(server.port());
    client.send(post("/v1/chat/completions", fmt::format(R"({{"messages":{}}})", kUser)));
    ASSERT_TRUE(server.engine().wait_submitted(1));
  }
  EXPECT_TRUE(server.engine().wait_cancelled(1));
  EXPECT_TRUE(server.canary());
}

TEST(Chat, WhatTheModelWouldRead) {
  TestServer server;
  const std::string text = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n";
  EXPECT_EQ(text_of(parse(chat(server, "", kUser, "/apply-template").body).at("prompt")), text);
  const auto rendered = parse(chat(server, "", kUser, "/v1/chat/completions/render").body);
  EXPECT_EQ(text_of(rendered.at("prompt")), text);
  EXPECT_EQ(rendered.at("prompt_token_ids").as_array().size(), 21U);
  const auto tokens = parse(chat(server, "", kUser, "/tokenize").body);
  EXPECT_EQ(tokens.at("count").as_int64(), 21);
  EXPECT_EQ(json::dump(tokens.at("tokens")), json::dump(rendered.at("prompt_token_ids")));
  EXPECT_EQ(chat(server, R"(,"prompt":"x")", kUser, "/tokenize").status, 400);
  const std::string long_text(50'000, 'x');
  const auto long_one = parse(
      chat(server, "", fmt::format(R"([{{"role":"user","content":"{}"}}])", long_text), "/apply-template")
          .body);
  EXPECT_EQ(text_of(long_one.at("prompt")).size(), long_text.size() + text.size() - 2);
}

TEST(Chat, AModelWithoutATemplate) {
  TestServerOptions options;
  options.chat = {};
  options.chat.no_template = "the model has no chat template; start the server with --chat-template FILE";
  TestServer server(options);
  const auto answer = chat(server, "");
  EXPECT_EQ(answer.status, 400);
  EXPECT_THAT(answer.body, HasSubstr("--chat-template"));
}

TEST(Chat, AnyModelNameWhenTheServerSaysSo) {
  auto options = scripted("Hey");
  options.names = {"real", "*"};
  TestServer server(options);
  EXPECT_EQ(text_of(parse(chat(server, R"(,"model":"gpt-4o")").body).at("model")), "gpt-4o");
  EXPECT_EQ(text_of(parse(chat(server, "").body).at("model")), "real");
  EXPECT_EQ(parse(ask(server.port(), get("/v1/models"))->body).at("data").as_array().size(), 1U);
  EXPECT_EQ(ask(server.port(), get("/v1/models/gpt-4o"))->status, 200);
  EXPECT_EQ(chat(server, R"(,"model":"")").status, 404);
}

}  // namespace
}  // namespace pegainfer::testing

// /v1/completions from socket to engine and back, with an engine whose tokens are known.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "server/answers.h"
#include "server/http_client.h"
#include "server/test_server.h"

namespace pegainfer::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

HttpAnswer complete(const TestServer& server, std::string_view fields, std::string_view prompt = "\"hi\"") {
  const auto answer =
      ask(server.port(), post("/v1/completions", fmt::format(R"({{"prompt":{}{}}})", prompt, fields)));
  return answer.value_or(HttpAnswer{});
}

// The texts of a stream, by choice; checks that each ends once.
std::vector<std::string> streamed_texts(const std::string& body, size_t num_choices) {
  std::vector<std::string> texts(num_choices);
  std::vector<int> ends(num_choices, 0);
  auto all = events(body);
  if (all.empty()) {
    ADD_FAILURE() << "no events";
    return texts;
  }
  EXPECT_EQ(all.back(), "[DONE]");
  all.pop_back();
  for (const std::string& event : all) {
    const json::Value value = parse(event);
    for (const json::Value& choice : value.at("choices").as_array()) {
      const auto index = choice.at("index").to_number<size_t>();
      EXPECT_EQ(ends.at(index), 0) << "something after the end of choice " << index;
      texts.at(index) += text_of(choice.at("text"));
      if (!choice.at("finish_reason").is_null()) ++ends.at(index);
    }
  }
  for (const int n : ends) EXPECT_EQ(n, 1);
  return texts;
}

TestServerOptions scripted(std::string text) {
  TestServerOptions options;
  options.engine.script = [text = std::move(text)](const GenerateRequest&) { return text_script(text); };
  return options;
}

TEST(Completions, WholeAnswerExactly) {
  TestServer server(scripted("Hey"));
  const auto answer = complete(server, "");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  EXPECT_EQ(
      without_identity(answer.body),
      R"({"id":"cmpl-ID","object":"text_completion","created":0,"model":"fake-model","choices":[{"index":0,)"
      R"("text":"Hey","logprobs":null,"finish_reason":"stop","stop_reason":null}],"usage":{"prompt_tokens":2,)"
      R"("completion_tokens":4,"total_tokens":6,"prompt_tokens_details":{"cached_tokens":0}}})");
  EXPECT_EQ(text_of(parse(complete(server, R"(,"model":"second-name")").body).at("model")), "second-name");
}

TEST(Completions, StreamExactly) {
  TestServer server(scripted("Hey"));
  const auto answer = complete(server, R"(,"stream":true,"max_tokens":2)");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "text/event-stream; charset=utf-8");
  EXPECT_EQ(answer.headers.at("cache-control"), "no-cache");
  EXPECT_EQ(answer.headers.at("x-accel-buffering"), "no");
  EXPECT_TRUE(answer.headers.contains("x-request-id"));
  EXPECT_EQ(
      without_identity(answer.body),
      R"(data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"fake-model","choices":[{"index":0,)"
      R"("text":"H","logprobs":null,"finish_reason":null,"stop_reason":null}]})"
      "\n\n"
      R"(data: {"id":"cmpl-ID","object":"text_completion","created":0,"model":"fake-model","choices":[{"index":0,)"
      R"("text":"e","logprobs":null,"finish_reason":"length","stop_reason":null}]})"
      "\n\n"
      "data: [DONE]\n\n");
}

TEST(Completions, StreamToHttp10EndsWithTheConnection) {
  TestServer server(scripted("Hey"));
  const std::string body = R"({"prompt":"hi","stream":true,"max_tokens":2})";
  const auto answer =
      ask(server.port(), fmt::format("POST /v1/completions HTTP/1.0\r\nContent-Type: application/json\r\n"
                                     "Content-Length: {}\r\n\r\n{}",
                                     body.size(), body));
  ASSERT_TRUE(answer);
  EXPECT_FALSE(answer->headers.contains("transfer-encoding"));
  EXPECT_EQ(streamed_texts(answer->body, 1)[0], "He");
}

TEST(Completions, UsageChunkOnlyWhenAskedFor) {
  TestServer server(scripted("Hey"));
  auto all = events(complete(server, R"(,"stream":true,"stream_options":{"include_usage":true})").body);
  ASSERT_GE(all.size(), 3U);
  EXPECT_THAT(without_identity(all[all.size() - 2]),
              R"({"id":"cmpl-ID","object":"text_completion","created":0,"model":"fake-model","choices":[],)"
              R"("usage":{"prompt_tokens":2,"completion_tokens":4,"total_tokens":6,)"
              R"("prompt_tokens_details":{"cached_tokens":0}}})");
  for (size_t i = 0; i + 2 < all.size(); ++i) EXPECT_THAT(all[i], HasSubstr(R"(],"usage":null})"));

  all = events(complete(server, R"(,"stream":true,"stream_options":{"continuous_usage_stats":true})").body);
  EXPECT_THAT(all[0], HasSubstr(R"("usage":{"prompt_tokens":2,"completion_tokens":1,"total_tokens":3)"));
  EXPECT_THAT(all[1], HasSubstr(R"("usage":{"prompt_tokens":2,"completion_tokens":2,"total_tokens":4)"));
  for (size_t i = 0; i + 1 < all.size(); ++i)
    EXPECT_THAT(all[i], ::testing::Not(HasSubstr(R"("choices":[])")));
}

TEST(Completions, SeveralPromptsAndChoicesHaveTheirIndices) {
  TestServerOptions options;
  options.engine.script = [](const GenerateRequest& request) {  // the prompt, upper case, and the seed
    std::string text;
    for (const TokenId id : request.prompt) text += static_cast<char>(std::toupper(id));
    return text_script(text + std::to_string(request.sampling.seed.value_or(0)));
  };
  TestServer server(std::move(options));
  const std::string fields = R"(,"n":2,"seed":40,"echo":true)";
  const json::Value whole = parse(complete(server, fields, R"(["ab","cd"])").body);
  const std::vector<std::string> expected = {"abAB40", "abAB41", "cdCD40", "cdCD41"};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(text_of(whole.at("choices").at(i).at("text")), expected[i]);
    EXPECT_EQ(whole.at("choices").at(i).at("index").to_number<size_t>(), i);
  }
  EXPECT_EQ(whole.at("usage").at("prompt_tokens"), 4);       // each prompt once
  EXPECT_EQ(whole.at("usage").at("completion_tokens"), 20);  // 4 x (4 bytes + EOS)
  EXPECT_EQ(streamed_texts(complete(server, fields + R"(,"stream":true)", R"(["ab","cd"])").body, 4),
            expected);
}

TEST(Completions, StreamedTextEqualsWholeText) {
  const std::string text =
      "h\xc3\xa9llo \xf0\x9f\x98\x80 \xe4\xbd\xa0\xe5\xa5\xbd \"quoted\" \\ \n\t\x01 \xff\xfe end </s> STO "
      "STOP tail";
  TestServer server(scripted(text));
  for (const char* fields :
       {"", R"(,"stop":"STOP")", R"(,"stop":["\n\t"],"include_stop_str_in_output":true)", R"(,"echo":true)",
        R"(,"stop":["\u4f60\u597d","zzz"])", R"(,"max_tokens":9)", R"(,"n":3,"stop":"tail")"}) {
    const std::string more = fmt::format(
        R"({}{})",
        std::string_view(fields).find("max_tokens") == std::string_view::npos ? R"(,"max_tokens":200)" : "",
        fields);
    const json::Value whole = parse(complete(server, more).body);
    const size_t n = whole.at("choices").as_array().size();
    const auto stream = complete(server, more + R"(,"stream":true)");
    ASSERT_EQ(stream.status, 200) << stream.body;
    const auto streamed = streamed_texts(stream.body, n);
    for (size_t i = 0; i < n; ++i)
      EXPECT_EQ(streamed[i], text_of(whole.at("choices").at(i).at("text"))) << fields;
  }
}

TEST(Completions, StopReasonsSayWhatEndedIt) {
  TestServer server(scripted("one two three"));
  const auto choice = [&](std::string_view fields) {
    return parse(complete(server, fields).body).at("choices").at(0);
  };
  json::Value c = choice(R"(,"stop":["zzz","two"])");
  EXPECT_EQ(text_of(c.at("text")), "one ");
  EXPECT_EQ(text_of(c.at("finish_reason")), "stop");
  EXPECT_EQ(text_of(c.at("stop_reason")), "two");
  c = choice(R"(,"stop":"two","include_stop_str_in_output":true)");
  EXPECT_EQ(text_of(c.at("text")), "one two");
  c = choice(R"(,"stop_token_ids":[116])");  // "t"
  EXPECT_EQ(text_of(c.at("text")), "one ");
  EXPECT_EQ(c.at("stop_reason"), 116);
  c = choice("");
  EXPECT_EQ(text_of(c.at("finish_reason")), "stop");
  EXPECT_TRUE(c.at("stop_reason").is_null());
  c = choice(R"(,"max_tokens":3)");
  EXPECT_EQ(text_of(c.at("finish_reason")), "length");
  EXPECT_TRUE(server.engine().wait_idle());
}

TEST(Completions, StopStringFreesTheEngine) {
  TestServerOptions options = scripted("abcdefgh");
  options.engine.manual = true;
  TestServer server(std::move(options));
  HttpClient client(server.port());
  client.send(post("/v1/completions", R"({"prompt":"x","stop":"cd","max_tokens":100})"));
  ASSERT_TRUE(server.engine().wait_submitted(1));
  server.engine().step(4);  // no further step will ever come
  const auto answer = client.read_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(text_of(parse(answer->body).at("choices").at(0).at("text")), "ab");
  EXPECT_EQ(parse(answer->body).at("usage").at("completion_tokens"), 4);
  EXPECT_TRUE(server.engine().wait_idle());
}

TEST(Completions, LogprobsOfTheCompletion) {
  TestServer server(scripted("ab"));
  const json::Value choice = parse(complete(server, R"(,"logprobs":2)").body).at("choices").at(0);
  const json::Value& logprobs = choice.at("logprobs");
  EXPECT_EQ(json::dump(logprobs.at("tokens")), R"(["a","b"])");
  EXPECT_EQ(json::dump(logprobs.at("text_offset")), "[0,1]");
  const auto a = fake_logprobs('a', 2, FakeTokenizer::kFirstExtra);
  EXPECT_FLOAT_EQ(logprobs.at("token_logprobs").at(0).to_number<float>(), a.chosen.logprob);
  EXPECT_FLOAT_EQ(logprobs.at("top_logprobs").at(0).at("a").to_number<float>(), a.top[0].logprob);
  EXPECT_FLOAT_EQ(logprobs.at("top_logprobs").at(0).at("b").to_number<float>(), a.top[1].logprob);
  EXPECT_EQ(logprobs.at("top_logprobs").at(0).as_object().size(), 2U);
}

TEST(Completions, EchoWithLogprobsScoresThePrompt) {
  TestServer server(scripted("Z"));
  for (const int max_tokens : {0, 1}) {
    const auto answer = complete(
        server, fmt::format(R"(,"echo":true,"logprobs":1,"max_tokens":{})", max_tokens), "\"h\xc3\xa9!\"");
    ASSERT_EQ(answer.status, 200) << answer.body;
    const json::Value choice = parse(answer.body).at("choices").at(0);
    EXPECT_EQ(text_of(choice.at("text")), max_tokens == 0 ? "h\xc3\xa9!" : "h\xc3\xa9!Z");
    const json::Value& logprobs = choice.at("logprobs");
    const size_t n = 4U + static_cast<size_t>(max_tokens);
    for (const char* name : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
      EXPECT_EQ(logprobs.at(name).as_array().size(), n) << name;
    EXPECT_TRUE(logprobs.at("token_logprobs").at(0).is_null());
    EXPECT_TRUE(logprobs.at("top_logprobs").at(0).is_null());
    EXPECT_FLOAT_EQ(logprobs.at("token_logprobs").at(3).to_number<float>(),
                    fake_logprobs('!', 1, FakeTokenizer::kFirstExtra).chosen.logprob);
    EXPECT_EQ(json::dump(logprobs.at("text_offset")), max_tokens == 0 ? "[0,1,1,2]" : "[0,1,1,2,3]");
    EXPECT_EQ(parse(answer.body).at("usage").at("completion_tokens"), max_tokens);
  }
}

// lm-eval's local-completions takes token_logprobs[context_length:-1]: the last entry is the one generated
// token and must be there even if that is the end of the text.
TEST(Completions, ScoredEndOfTextIsReported) {
  TestServerOptions options;
  options.engine.script = [](const GenerateRequest& r) {
    FakeScript script;
    script.tokens = {FakeTokenizer::kEos};
    script.finish = r.sampling.ignore_eos ? FinishReason::kLength : FinishReason::kStop;
    return script;
  };
  TestServer server(std::move(options));
  const json::Value choice =
      parse(complete(server, R"(,"echo":true,"logprobs":1,"max_tokens":1,"temperature":0)").body)
          .at("choices")
          .at(0);
  EXPECT_EQ(choice.at("logprobs").at("token_logprobs").as_array().size(), 3U);
  EXPECT_EQ(text_of(choice.at("text")), "hi");
  EXPECT_EQ(text_of(choice.at("finish_reason")), "stop");
}

TEST(Completions, StreamedLogprobsConcatenateToTheWhole) {
  TestServer server(
      scripted("ab\xf0\x9f\x98\x80"
               "cd STOP"));
  const std::string fields = R"(,"echo":true,"logprobs":2,"stop":"STOP","max_tokens":50)";
  const json::Value whole = parse(complete(server, fields).body).at("choices").at(0).at("logprobs");
  json::Object joined;
  auto all = events(complete(server, fields + R"(,"stream":true)").body);
  all.pop_back();
  for (const std::string& event : all) {
    const json::Value part = parse(event).at("choices").at(0).at("logprobs");
    for (const auto& [key, value] : part.as_object()) {
      json::Value& array = joined[key];
      if (array.is_null()) array = json::Array{};
      for (const json::Value& element : value.as_array()) array.as_array().push_back(element);
    }
  }
  EXPECT_EQ(json::dump(json::Value(joined)), json::dump(whole));
}

TEST(Completions, TopLogprobsKeepTheLikelierOfTwoThatReadAlike) {
  TestServer server(scripted("\x80"));  // bytes 0x80, 0x81, ... all read U+FFFD
  const json::Value choice = parse(complete(server, R"(,"logprobs":3)").body).at("choices").at(0);
  const auto& top = choice.at("logprobs").at("top_logprobs").at(0).as_object();
  ASSERT_EQ(top.size(), 1U);
  EXPECT_FLOAT_EQ(top.at("\xEF\xBF\xBD").to_number<float>(),
                  fake_logprobs(0x80, 3, FakeTokenizer::kFirstExtra).chosen.logprob);
}

TEST(Completions, TokenIdsWhenAskedFor) {
  TestServer server(scripted("ab"));
  const auto answer = complete(server, R"(,"return_token_ids":true)");
  EXPECT_THAT(answer.body, HasSubstr(R"("token_ids":[97,98],"prompt_token_ids":[104,105])"));
  const auto stream = events(complete(server, R"(,"return_token_ids":true,"stream":true)").body);
  EXPECT_THAT(stream[0], HasSubstr(R"("token_ids":[97],"prompt_token_ids":[104,105])"));
  EXPECT_THAT(stream[1], HasSubstr(R"("token_ids":[98])"));
  EXPECT_THAT(stream[1], ::testing::Not(HasSubstr("prompt_token_ids")));
  const auto named = complete(server, R"(,"logprobs":0,"return_tokens_as_token_ids":true)");
  EXPECT_THAT(named.body, HasSubstr(R"("tokens":["token_id:97","token_id:98"])"));
}

TEST(Completions, PromptsReachTheEngineAsAsked) {
  TestServerOptions options;
  options.tokenizer.add_bos = true;
  TestServer server(std::move(options));
  const auto prompt_of = [&](std::string_view fields, std::string_view prompt) {
    EXPECT_EQ(complete(server, fields, prompt).status, 200);
    return server.engine().submitted().back().prompt;
  };
  EXPECT_THAT(prompt_of("", "\"ab\""), ElementsAre(FakeTokenizer::kBos, 'a', 'b'));
  EXPECT_THAT(prompt_of(R"(,"add_special_tokens":false)", "\"ab\""), ElementsAre('a', 'b'));
  EXPECT_THAT(prompt_of("", "[5,6,7]"), ElementsAre(5, 6, 7));
  EXPECT_THAT(prompt_of(R"(,"truncate_prompt_tokens":2)", "[5,6,7]"), ElementsAre(6, 7));
  EXPECT_THAT(prompt_of(R"(,"truncate_prompt_tokens":-1)", "[5,6,7]"), ElementsAre(5, 6, 7));
  // All but the answer of a context of 2,048; where nothing says how long that is, 16 as ever.
  const std::string long_prompt = "\"" + std::string(5000, 'a') + "\"";
  EXPECT_EQ(prompt_of(R"(,"truncate_prompt_tokens":-1,"max_tokens":48)", long_prompt).size(), 2000U);
  EXPECT_EQ(prompt_of(R"(,"truncate_prompt_tokens":-1)", long_prompt).size(), 2032U);
  EXPECT_THAT(prompt_of("", R"("a\u0000b")"), ElementsAre(FakeTokenizer::kBos, 'a', 0, 'b'));
  complete(
      server,
      R"(,"temperature":0,"top_p":0.5,"top_k":3,"min_p":0.25,"seed":9,"ignore_eos":true,"max_tokens":4)");
  const SamplingParams s = server.engine().submitted().back().sampling;
  EXPECT_EQ(s.temperature, 0.0F);
  EXPECT_EQ(s.top_p, 0.5F);
  EXPECT_EQ(s.top_k, 3);
  EXPECT_EQ(s.min_p, 0.25F);
  EXPECT_EQ(s.seed, 9U);
  EXPECT_TRUE(s.ignore_eos);
  EXPECT_EQ(s.max_tokens, 4);
}

TEST(Completions, ContextOverflowIsA400WithBothNumbers) {
  TestServer server;  // 2048 positions
  const std::string prompt = "\"" + std::string(2048, 'a') + "\"";
  const auto full = complete(server, "", prompt);
  EXPECT_EQ(full.status, 400);
  EXPECT_THAT(full.body, HasSubstr(R"("code":"context_length_exceeded")"));
  EXPECT_THAT(full.body, HasSubstr("maximum context length is 2048 tokens"));
  EXPECT_THAT(full.body, HasSubstr("2048 input tokens"));
  const auto both = complete(server, R"(,"max_tokens":2047)");
  EXPECT_EQ(both.status, 400);
  EXPECT_THAT(both.body, HasSubstr("2049"));
  EXPECT_EQ(complete(server, R"(,"max_tokens":2046)").status, 200);
  // Without max_tokens the default shrinks to what the context leaves.
  EXPECT_EQ(complete(server, "", "\"" + std::string(2047, 'a') + "\"").status, 200);
  EXPECT_EQ(server.engine().submitted().back().sampling.max_tokens, 1);
  EXPECT_EQ(complete(server, R"(,"max_tokens":0,"echo":true)", prompt).status, 200);
  // The second of two prompts is too long: the first is taken back.
  EXPECT_EQ(complete(server, "", R"(["a",)" + prompt + "]").status, 400);
  EXPECT_TRUE(server.engine().wait_idle());
}

TEST(Completions, LongPromptsAreTokenizedBesideTheServersThread) {
  TestServerOptions options;
  options.engine.info.max_model_len = 10'000'000;
  options.engine.info.num_kv_blocks = 10'000'000;
  TestServer server(std::move(options));
  constexpr size_t kLength = 1U << 20U;
  const std::string prompt = "\"" + std::string(kLength, 'a') + "\"";
  const auto answer = complete(server, R"(,"max_tokens":1)", prompt);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(server.engine().submitted().back().prompt.size(), kLength);
  const auto tokens = ask(server.port(), post("/tokenize", R"({"prompt":)" + prompt + "}"));
  ASSERT_TRUE(tokens);
  EXPECT_THAT(tokens->body, HasSubstr(R"("count":1048576)"));
}

TEST(Completions, EngineErrorsBeforeTheFirstTokenAreStatuses) {
  TestServer server;
  server.engine().refuse_submits(resource_exhausted("the queue is full"));
  const auto full = complete(server, R"(,"stream":true)");
  EXPECT_EQ(full.status, 429);
  EXPECT_TRUE(full.headers.contains("retry-after"));
  server.engine().refuse_submits(Error{Code::kUnavailable, "shutting down", "", ""});
  const auto down = complete(server, "");
  EXPECT_EQ(down.status, 503);
  EXPECT_TRUE(down.headers.contains("retry-after"));
  server.engine().refuse_submits(std::nullopt);
  EXPECT_EQ(complete(server, "").status, 200);
}

TEST(Completions, EngineErrorInMidStreamIsAnEvent) {
  TestServerOptions options;
  options.engine.script = [](const GenerateRequest&) {
    FakeScript script = text_script("ab");
    script.finish = FinishReason::kError;
    script.message = "a step failed";
    return script;
  };
  TestServer server(std::move(options));
  const auto stream = events(complete(server, R"(,"stream":true)").body);
  ASSERT_GE(stream.size(), 3U);
  EXPECT_EQ(
      stream[stream.size() - 2],
      R"({"error":{"message":"a step failed","type":"server_error","param":null,"code":"engine_error"}})");
  EXPECT_EQ(stream.back(), "[DONE]");
  EXPECT_EQ(complete(server, "").status, 500);
}

TEST(Completions, DeadEngineIsToldToHealthChecks) {
  TestServerOptions options;
  options.engine.manual = true;
  TestServer server(std::move(options));
  HttpClient client(server.port());
  client.send(post("/v1/completions", R"({"prompt":"x"})"));
  ASSERT_TRUE(server.engine().wait_submitted(1));
  EXPECT_EQ(ask(server.port(), get("/health"))->status, 200);
  server.engine().kill("the device is gone");
  const auto told = client.read_answer();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->status, 500);
  EXPECT_THAT(told->body, HasSubstr("the engine has failed"));
  EXPECT_THAT(told->body, ::testing::Not(HasSubstr("device")));  // what is within is for the log
  for (const char* path : {"/health", "/readyz"}) {
    const auto answer = ask(server.port(), get(path));
    EXPECT_EQ(answer->status, 503);
    EXPECT_THAT(answer->body, HasSubstr("engine_unavailable"));
  }
  EXPECT_EQ(ask(server.port(), get("/livez"))->status, 200);
}

// Between the engine's death and the server's end.
TEST(Completions, ADeadEngineRefusesWhatComesAfterIt) {
  TestServer server;
  server.engine().kill("the device is gone");
  const char* prompt = R"({"prompt":"x","stream":true})";
  const char* messages = R"({"messages":[{"role":"user","content":"x"}]})";
  for (const std::string& request :
       {post("/v1/completions", prompt), post("/v1/chat/completions", messages)}) {
    const auto answer = ask(server.port(), request);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 503) << request;
    EXPECT_EQ(answer->headers.at("retry-after"), "1");
    EXPECT_THAT(answer->body, HasSubstr(R"("type":"unavailable_error")"));
    EXPECT_THAT(answer->body, HasSubstr(R"("code":"engine_unavailable")"));
  }
  EXPECT_EQ(server.engine().num_reserved(), 0);
}

TEST(Completions, ManyAtOnceAllGetTheirOwnAnswer) {
  TestServerOptions options;
  options.engine.script = [](const GenerateRequest& request) {
    std::string text;
    for (const TokenId id : request.prompt) text += static_cast<char>(id);
    return text_script("<" + text + ">");
  };
  options.engine.max_running = 8;
  TestServer server(std::move(options));
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<HttpClient>(server.port()));
    clients.back()->send(
        post("/v1/completions", fmt::format(R"({{"prompt":"nonce{}","max_tokens":30,"stream":{}}})", i,
                                            i % 2 == 0 ? "true" : "false")));
  }
  for (int i = 0; i < 200; ++i) {
    const auto answer = clients[static_cast<size_t>(i)]->read_answer();
    ASSERT_TRUE(answer) << i;
    const std::string text = i % 2 == 0 ? streamed_texts(answer->body, 1)[0]
                                        : text_of(parse(answer->body).at("choices").at(0).at("text"));
    EXPECT_EQ(text, fmt::format("<nonce{}>", i));
  }
}

}  // namespace
}  // namespace pegainfer::testing

// A server for the tests of real clients: it listens on a free port, says so on standard output, and ends
// with its standard input. Its model says what the last user message tells it to, so that a client can be
// shown any answer there is; its chat template is a file, the parsers are chosen from it.
#include <fmt/core.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "server/test_server.h"

namespace {

using pegainfer::testing::FakeTokenizer;

std::string last_user_message(const std::string& prompt) {
  const std::string begin = "<|im_start|>user\n";
  const size_t at = prompt.rfind(begin);
  if (at == std::string::npos) return "nobody asked";
  const size_t end = prompt.find("<|im_end|>", at);
  return prompt.substr(at + begin.size(), end - at - begin.size());
}

}  // namespace

int main(int argc, char** argv) {
  std::ifstream file(argc > 1 ? argv[1] : "");
  const std::string source{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  auto chat = pegainfer::chat::make_chat_model(
      {.chat_template = source, .tool_template = {}, .special_tokens = {}}, {}, FakeTokenizer());
  if (!chat || (*chat)->plain == nullptr) {
    fmt::print(stderr, "{}\n", chat ? (*chat)->no_template : chat.error().message);
    return 1;
  }
  pegainfer::testing::TestServerOptions options;
  options.chat = **chat;
  options.engine.info.max_model_len = 1 << 16;
  options.engine.script = [](const pegainfer::GenerateRequest& request) {
    const std::string prompt = FakeTokenizer().decode(request.prompt, false);
    return pegainfer::testing::text_script(last_user_message(prompt));
  };
  pegainfer::testing::TestServer server(std::move(options));
  fmt::print("http://127.0.0.1:{}\n", server.port());
  std::fflush(stdout);
  std::string line;
  while (std::getline(std::cin, line)) {
  }
  return 0;
}

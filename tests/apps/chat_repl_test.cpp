#include "apps/chat_repl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace pegainfer::apps {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers with how often it was asked; notes what it was asked with.
struct Model {
  std::vector<std::vector<ChatTurn>> asked;
  std::string fails;

  ChatRepl::Answer answer() {
    return [this](const std::vector<ChatTurn>& turns,
                  const std::function<void(const chat::OutputDelta&)>& on_delta) -> Result<ChatTurn> {
      if (!fails.empty()) return invalid_argument(fails);
      asked.push_back(turns);
      const std::string text = "answer " + std::to_string(asked.size());
      on_delta({.reasoning = "hm"});
      on_delta({.content = text});
      return ChatTurn{.role = "assistant", .content = text, .reasoning = "hm"};
    };
  }
};

std::vector<std::string> contents(const std::vector<ChatTurn>& turns) {
  std::vector<std::string> all;
  for (const ChatTurn& turn : turns) all.push_back(turn.role + ": " + turn.content);
  return all;
}

struct Session {
  explicit Session(const std::string& typed, ChatRepl::Options options = {})
      : in(typed), repl(in, out, model.answer(), std::move(options)) {}
  Model model;
  std::istringstream in;
  std::ostringstream out;
  ChatRepl repl;
};

TEST(ChatRepl, RemembersTheConversation) {
  Session s("one\n\n  \ntwo\n");
  s.repl.run();
  EXPECT_EQ(s.out.str(), "answer 1\nanswer 2\n");
  EXPECT_THAT(contents(s.model.asked.at(1)), ElementsAre("user: one", "assistant: answer 1", "user: two"));
}

TEST(ChatRepl, LinesThatGoOn) {
  Session s("a\\\nb\\\nc\n\"\"\"\nfirst\n\nlast\n\"\"\"\n\"\"\"same line\"\"\"\n\"\"\"never ended");
  s.repl.run();
  EXPECT_EQ(s.model.asked.at(0).back().content, "a\nb\nc");
  EXPECT_EQ(s.model.asked.at(1).back().content, "first\n\nlast");
  EXPECT_EQ(s.model.asked.at(2).back().content, "same line");
  EXPECT_EQ(s.model.asked.at(3).back().content, "never ended");
}

TEST(ChatRepl, Commands) {
  Session s("/regenerate\n/system Be kind\nhi\n/regenerate\n/clear\n/system\nho\n/help\n/exit\nnever\n");
  s.repl.run();
  EXPECT_THAT(s.out.str(), HasSubstr("nothing to answer"));
  EXPECT_THAT(s.out.str(), HasSubstr("/regenerate "));
  ASSERT_EQ(s.model.asked.size(), 3U);
  EXPECT_THAT(contents(s.model.asked[0]), ElementsAre("system: Be kind", "user: hi"));
  EXPECT_EQ(contents(s.model.asked[1]), contents(s.model.asked[0]));
  EXPECT_THAT(contents(s.model.asked[2]), ElementsAre("user: ho"));
}

TEST(ChatRepl, SavesWhatTheEndpointTakes) {
  const std::string path = ::testing::TempDir() + "chat_repl.json";
  Session s("say \"x\"\n/save " + path + "\n/save /no/such/folder/x\n", {.system = "S"});
  s.repl.run();
  std::ifstream file(path);
  const std::string saved{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(saved,
            "{\"messages\": [\n  {\"role\": \"system\", \"content\": \"S\"},\n"
            "  {\"role\": \"user\", \"content\": \"say \\\"x\\\"\"},\n"
            "  {\"role\": \"assistant\", \"reasoning_content\": \"hm\", \"content\": \"answer 1\"}\n]}\n");
  EXPECT_THAT(s.out.str(), HasSubstr("/no/such/folder/x cannot be written"));
}

TEST(ChatRepl, AnErrorLeavesTheConversationAsItWas) {
  Session s("");
  s.repl.handle("one");
  s.model.fails = "too long";
  s.repl.handle("two");
  EXPECT_THAT(s.out.str(), HasSubstr("too long\n"));
  EXPECT_THAT(contents(s.repl.turns()), ElementsAre("user: one", "assistant: answer 1"));
  s.repl.handle("/regenerate");
  EXPECT_THAT(contents(s.repl.turns()), ElementsAre("user: one", "assistant: answer 1"));
}

TEST(ChatRepl, SomeoneWhoIsThereSeesPromptsAndReasoning) {
  Session s("hi\n", {.interactive = true});
  s.repl.run();
  EXPECT_EQ(s.out.str(), "/help shows the commands.\n> \x1b[2mhm\x1b[0manswer 1\n> \n");
}

}  // namespace
}  // namespace pegainfer::apps

// The conversation of `pegainfer chat`: lines in, answers out, and the commands that begin with a slash.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "apps/conversation.h"

namespace pegainfer::apps {

class ChatRepl {
 public:
  // Answers the turns so far, and says what comes as it comes. An answer that was stopped is one.
  using Answer = std::function<Result<ChatTurn>(
      const std::vector<ChatTurn>& turns, const std::function<void(const chat::OutputDelta&)>& on_delta)>;
  struct Options {
    bool interactive = false;  // someone is there: prompts, hints and reasoning are shown
    std::string system;        // "": none
  };

  ChatRepl(std::istream& in, std::ostream& out, Answer answer, Options options);

  // Until the end of the input or /exit.
  void run();
  // One line as if it had been typed; false: the conversation is over. For lines that go on reads more.
  bool handle(std::string line);
  [[nodiscard]] std::vector<ChatTurn> turns() const;  // the system message first

 private:
  bool command(std::string_view line);
  std::string read_rest(std::string line);
  bool next_line(std::string_view prompt, std::string& line);
  void say(std::string_view text);
  bool answer();  // false: it failed, and said so
  void regenerate();
  void save(const std::string& path);

  std::istream& in_;
  std::ostream& out_;
  Answer answer_;
  Options options_;
  std::vector<ChatTurn> history_;  // without the system message
};

}  // namespace pegainfer::apps

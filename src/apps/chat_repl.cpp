#include "apps/chat_repl.h"

#include <fmt/core.h>

#include <fstream>
#include <istream>
#include <ostream>
#include <utility>

namespace pegainfer::apps {
namespace {

constexpr std::string_view kFence = "\"\"\"";
constexpr std::string_view kHelp =
    "/system TEXT   set the system message (without TEXT: remove it)\n"
    "/regenerate    answer the last message again\n"
    "/clear         forget the conversation\n"
    "/save FILE     write it as the JSON of a request\n"
    "/exit          leave; so does Ctrl-D\n"
    "A line that ends with \\ goes on in the next; \"\"\" begins and ends a text of several lines.\n"
    "Ctrl-C stops an answer.\n";

constexpr std::string_view kDim = "\x1b[2m";
constexpr std::string_view kPlain = "\x1b[0m";

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin);
}

}  // namespace

ChatRepl::ChatRepl(std::istream& in, std::ostream& out, Answer answer, Options options)
    : in_(in), out_(out), answer_(std::move(answer)), options_(std::move(options)) {}

void ChatRepl::run() {
  if (options_.interactive) say("/help shows the commands.\n");
  std::string line;
  while (next_line("> ", line))
    if (!handle(std::move(line))) return;
  if (options_.interactive) say("\n");
}

bool ChatRepl::next_line(std::string_view prompt, std::string& line) {
  if (options_.interactive) say(prompt);
  line.clear();
  if (!std::getline(in_, line)) return false;
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

// The lines that belong to this one.
std::string ChatRepl::read_rest(std::string line) {
  std::string more;
  if (line.starts_with(kFence)) {
    std::string text = line.substr(kFence.size());
    while (!text.ends_with(kFence) && next_line(". ", more)) text += '\n' + more;
    if (text.ends_with(kFence)) text.resize(text.size() - kFence.size());
    if (text.starts_with('\n')) text.erase(0, 1);
    if (text.ends_with('\n')) text.pop_back();
    return text;
  }
  while (line.ends_with('\\') && next_line(". ", more)) {
    line.back() = '\n';
    line += more;
  }
  return line;
}

bool ChatRepl::handle(std::string line) {
  const std::string_view trimmed = trim(line);
  if (trimmed.empty()) return true;
  if (trimmed.front() == '/') return command(trimmed);
  std::vector<ChatTurn> before = history_;
  history_.push_back({.role = "user", .content = read_rest(std::move(line))});
  if (!answer()) history_ = std::move(before);
  return true;
}

bool ChatRepl::command(std::string_view line) {
  const size_t space = line.find(' ');
  const std::string_view name = line.substr(0, space);
  const std::string argument(space == std::string_view::npos ? "" : trim(line.substr(space)));
  if (name == "/exit" || name == "/quit" || name == "/bye") return false;
  if (name == "/system") {
    options_.system = read_rest(argument);
  } else if (name == "/regenerate") {
    regenerate();
  } else if (name == "/clear") {
    history_.clear();
  } else if (name == "/save") {
    save(argument);
  } else if (name == "/help" || name == "/?") {
    say(kHelp);
  } else {
    say(fmt::format("There is no command {}; /help shows them.\n", name));
  }
  return true;
}

void ChatRepl::regenerate() {
  if (history_.empty()) return say("There is nothing to answer yet.\n");
  std::vector<ChatTurn> before = history_;
  if (history_.back().role == "assistant") history_.pop_back();
  if (!answer()) history_ = std::move(before);
}

bool ChatRepl::answer() {
  bool thinking = false;
  const auto on_delta = [&](const chat::OutputDelta& delta) {
    if (options_.interactive && !delta.reasoning.empty()) {
      if (!std::exchange(thinking, true)) say(kDim);
      say(delta.reasoning);
    }
    if (delta.content.empty()) return;
    if (std::exchange(thinking, false)) say(kPlain);
    say(delta.content);
  };
  auto turn = answer_(turns(), on_delta);
  if (thinking) say(kPlain);
  say(turn ? "\n" : turn.error().message + "\n");
  if (!turn) return false;
  history_.push_back(*std::move(turn));
  return true;
}

void ChatRepl::save(const std::string& path) {
  if (path.empty()) return say("/save needs a file's name.\n");
  std::ofstream file(path, std::ios::trunc);
  file << conversation_json(turns());
  file.close();
  say(file ? fmt::format("Saved to {}.\n", path) : fmt::format("{} cannot be written.\n", path));
}

std::vector<ChatTurn> ChatRepl::turns() const {
  std::vector<ChatTurn> all;
  if (!options_.system.empty()) all.push_back({.role = "system", .content = options_.system});
  all.insert(all.end(), history_.begin(), history_.end());
  return all;
}

void ChatRepl::say(std::string_view text) {
  out_ << text;
  out_.flush();
}

}  // namespace pegainfer::apps

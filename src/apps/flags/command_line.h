// A command line from its words to the command's own callback: CLI11 with what flags/ adds to it.
#pragma once

#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps::flags {

enum class Parsed : unsigned char {
  kRan,    // a command's callback has run
  kShown,  // help, the version or the configuration was printed
  kWrong,  // standard error says what
};

// Adds to `root`, whose commands are complete, what every one has, and runs the one that is asked for.
// `words`: without the program's name; `environment`: "NAME=value" each.
Parsed run(CLI::App& root, const std::vector<std::string>& words, std::vector<std::string> environment);

}  // namespace pegainfer::apps::flags

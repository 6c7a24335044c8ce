// The first look at a command line, before CLI11's: which command it is, spellings of other servers, flags
// that nobody knows, and --help. What is left is plain.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "pegainfer/result.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace pegainfer::apps::flags {

struct Arguments {
  const CLI::App* command = nullptr;  // the innermost that was named; the root when none was
  std::vector<std::string> plain;     // what CLI11 is to parse
  std::vector<std::string> warnings;  // for flags that have no meaning here
  bool help = false;
  std::string help_topic;  // "": the overview
};

// `words` without the program's name. An error: a flag or command that is not known, or one that cannot be
// had here.
Result<Arguments> read_arguments(const CLI::App& root, const std::vector<std::string>& words);

}  // namespace pegainfer::apps::flags

// What a command line leaves open is taken from the environment, then from a configuration file: values that
// CLI11 gets between reading the words and checking them, so that they are converted, checked and required
// alike.
#pragma once

#include <memory>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
class Option;
}  // namespace CLI

namespace pegainfer::apps::flags {

class LateValues {
 public:
  // Adds --config and --print-config to every command that has flags of its own. `environment`: "NAME=value".
  LateValues(CLI::App& root, std::vector<std::string> environment);
  ~LateValues();

  // The command whose options are to be filled; before CLI11 parses.
  void set_command(CLI::App& command);
  // "", or " (from PEGAINFER_PORT)" when `message` of CLI11 is about an option that did not come from the
  // words.
  [[nodiscard]] std::string blame(const std::string& message) const;
  // Of variables nobody reads and keys without effect.
  [[nodiscard]] const std::vector<std::string>& warnings() const;
  // The options in force, as a file that --config reads; "" unless --print-config is there.
  [[nodiscard]] std::string printed() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // CLI11's hook holds it, too
};

}  // namespace pegainfer::apps::flags

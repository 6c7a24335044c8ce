#include "apps/flags/command_line.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "apps/flags/arguments.h"
#include "apps/flags/help.h"
#include "apps/flags/late_values.h"
#include "apps/flags/option_tree.h"
#include "base/log.h"
#include "base/log_event.h"

namespace pegainfer::apps::flags {
namespace {

// Help is read before CLI11 sees the words, so that it may have a topic.
void remove_help_flags(CLI::App& app) {
  app.set_help_flag();
  for (CLI::App* sub : commands_of(app)) remove_help_flags(*sub);
}

bool logs_are_json(const CLI::App& command) {
  const CLI::Option* format = find_option(command, "--log-format");
  return format != nullptr && format->count() > 0 && format->results().back() == "json";
}

// Who reads JSON lines reads nothing else.
void warn(const CLI::App& command, const std::vector<std::string>& warnings) {
  const bool json = logs_are_json(command) && !warnings.empty();
  if (json) set_log_format(LogFormat::kJson);
  for (const std::string& warning : warnings) {
    if (json) {
      LOG_WARN("{}", warning);
    } else {
      fmt::print(stderr, "pegainfer: {}\n", warning);
    }
  }
}

Parsed wrong(const CLI::App& command, const std::string& message) {
  fmt::print(stderr, "pegainfer: {}\nSee `{} --help`.\n", message, full_name(command));
  return Parsed::kWrong;
}

}  // namespace

Parsed run(CLI::App& root, const std::vector<std::string>& words, std::vector<std::string> environment) {
  remove_help_flags(root);
  LateValues late(root, std::move(environment));
  auto arguments = read_arguments(root, words);
  if (!arguments) {
    fmt::print(stderr, "pegainfer: {}\n", arguments.error().message);
    return Parsed::kWrong;
  }
  const CLI::App& command = *arguments->command;
  if (arguments->help) {
    fmt::print("{}", help(command, arguments->help_topic));
    return Parsed::kShown;
  }
  late.set_command(const_cast<CLI::App&>(command));
  // Everything has been read and checked then, and no command has run.
  root.parse_complete_callback([&late, &arguments] {
    warn(*arguments->command, arguments->warnings);
    warn(*arguments->command, late.warnings());
    const std::string printed = late.printed();
    if (printed.empty()) return;
    fmt::print("{}", printed);
    throw CLI::Success();
  });
  try {
    std::vector<std::string> plain = arguments->plain;
    std::reverse(plain.begin(), plain.end());  // as CLI11 takes them
    root.parse(std::move(plain));
  } catch (const CLI::CallForVersion& version) {
    fmt::print("{}\n", version.what());
    return Parsed::kShown;
  } catch (const CLI::Success&) {
    return Parsed::kShown;
  } catch (const CLI::ParseError& error) {
    return wrong(command, error.what() + late.blame(error.what()));
  }
  return Parsed::kRan;
}

}  // namespace pegainfer::apps::flags

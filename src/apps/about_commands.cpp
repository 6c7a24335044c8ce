// `pegainfer completion` and `pegainfer man`: what packages install besides the binary.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/flags/completion.h"
#include "apps/flags/man_page.h"
#include "server/version.h"

namespace pegainfer::apps {

void add_completion(CLI::App& app, int& exit_code) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* command =
      app.add_subcommand("completion", "Print the completion script of a shell: bash, zsh or fish");
  command->add_option("SHELL", *shell, "bash, zsh or fish")->required();
  command->callback([&app, shell, &exit_code] {
    const auto script = flags::completion_script(app, *shell);
    if (!script) {
      exit_code = report(script.error());
    } else {
      fmt::print("{}", *script);
    }
  });
}

void add_man(CLI::App& app, int& /*exit_code*/) {
  CLI::App* command = app.add_subcommand("man", "Print the manual page, for man -l");
  command->callback([&app] { fmt::print("{}", flags::man_page(app, std::string(kVersion))); });
}

}  // namespace pegainfer::apps

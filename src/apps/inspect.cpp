#include "checkpoint/inspect.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"

namespace pegainfer::apps {

void add_inspect(CLI::App& app, int& exit_code) {
  struct Flags {
    std::string path;
    bool json = false;
  };
  const auto flags = std::make_shared<Flags>();
  CLI::App* command =
      app.add_subcommand("inspect", "Validate a model or a weights file and show what it holds");
  command->add_option("PATH,-m,--model", flags->path, "A folder, a hub name, or a .gguf or .safetensors file")
      ->required();
  command->add_flag("--json", flags->json, "One JSON object in place of the table");
  command->footer("Exit codes: 0 valid; 1 not valid, the reason is on standard error.");
  command->callback([flags, &exit_code] {
    const auto text = inspect(flags->path, flags->json);
    if (text) {
      std::fwrite(text->data(), 1, text->size(), stdout);
      return;
    }
    report(text.error());
    exit_code = kExitInvalidFile;
  });
}

}  // namespace pegainfer::apps

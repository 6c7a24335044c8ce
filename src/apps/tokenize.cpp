// `pegainfer tokenize` and `detokenize`: the tokenizer alone, without weights.
#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "engine/load_tokenizer.h"
#include "tokenizer/cli.h"

namespace pegainfer::apps {
namespace {

struct Flags {
  std::string model;
  bool no_special = false;
  bool jsonl = false;
};

Result<std::shared_ptr<const Tokenizer>> open_tokenizer(const std::string& model) {
  set_log_level(LogLevel::kWarn);
  ASSIGN_OR_RETURN(const std::string path, resolve_model_path(model));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                   Checkpoint::open(path, CheckpointOptions{.need_weights = false}));
  return load_tokenizer(checkpoint);
}

template <class Work>
void run(const Flags& flags, int& exit_code, const Work& work) {
  const auto tokenizer = open_tokenizer(flags.model);
  exit_code = tokenizer ? work(**tokenizer) : report(tokenizer.error());
}

CLI::App* add_command(CLI::App& app, const char* name, const char* description, Flags& flags) {
  CLI::App* command = app.add_subcommand(name, description);
  command
      ->add_option("-m,--model,--model-path", flags.model,
                   "A folder, a .gguf file or a hub name; weights are not needed")
      ->required();
  command->footer(kExitCodesHelp);
  return command;
}

}  // namespace

void add_tokenize(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* command =
      add_command(app, "tokenize", "Text on standard input to a JSON array of token ids", *flags);
  command->add_flag("--no-special", flags->no_special,
                    "Add no special tokens; those written in the text are still recognised");
  command->add_flag("--jsonl", flags->jsonl, "Each line is a JSON string and gives one line");
  command->callback([flags, &exit_code] {
    run(*flags, exit_code, [&](const Tokenizer& tokenizer) {
      return run_tokenize(tokenizer, !flags->no_special, flags->jsonl, std::cin, std::cout, std::cerr);
    });
  });
}

void add_detokenize(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* command =
      add_command(app, "detokenize", "A JSON array of token ids on standard input to its text", *flags);
  command->add_flag("--jsonl", flags->jsonl, "Each line is an array and gives one line, a JSON string");
  command->callback([flags, &exit_code] {
    run(*flags, exit_code, [&](const Tokenizer& tokenizer) {
      return run_detokenize(tokenizer, flags->jsonl, std::cin, std::cout, std::cerr);
    });
  });
}

}  // namespace pegainfer::apps

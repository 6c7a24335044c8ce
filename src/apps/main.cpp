#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/flags/command_line.h"
#include "pegainfer/result.h"
#include "server/version.h"

namespace {

using namespace pegainfer::apps;

int run(int argc, char** argv) {
  int exit_code = kExitOk;
  CLI::App app("pegainfer: an inference engine for language models with an OpenAI-compatible server",
               "pegainfer");
  app.set_version_flag("--version", "pegainfer " + std::string(pegainfer::kVersion));
  app.footer(kExitCodesHelp);
  app.require_subcommand(1);
  // The last of a repeated flag wins, so that scripts can append to a command line.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  add_serve(app, exit_code);
  add_generate(app, exit_code);
  add_chat(app, exit_code);
  add_template(app, exit_code);
  add_tokenize(app, exit_code);
  add_detokenize(app, exit_code);
  add_inspect(app, exit_code);
  add_plan(app, exit_code);
  add_doctor(app, exit_code);
  add_bench(app, exit_code);
  add_completion(app, exit_code);
  add_man(app, exit_code);
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  const flags::Parsed parsed = flags::run(app, {argv + std::min(argc, 1), argv + argc}, std::move(variables));
  return parsed == flags::Parsed::kWrong ? kExitUsage : exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    return report(pegainfer::resource_exhausted("out of memory"));
  } catch (const std::exception& e) {
    return report(pegainfer::internal_error(e.what()));
  }
}

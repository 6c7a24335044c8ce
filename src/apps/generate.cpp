// `pegainfer generate`: one prompt, its continuation on standard output, figures on standard error.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/chat_flags.h"
#include "apps/commands.h"
#include "apps/conversation.h"
#include "apps/exit_code.h"
#include "apps/generation.h"
#include "apps/interrupts.h"
#include "apps/load_with_progress.h"
#include "apps/model_flags.h"
#include "apps/sampling_defaults.h"
#include "apps/sampling_flags.h"
#include "base/log.h"
#include "base/utf8.h"
#include "engine/load_engine.h"

namespace pegainfer::apps {
namespace {

constexpr int kDefaultMaxTokens = 256;
constexpr const char* kTextGroup = "Text";

struct GenerateFlags {
  ModelFlags model;
  std::optional<std::string> prompt;
  SamplingFlags sampling;
  ChatFlags chat_flags;
  bool chat = false;
  std::string system;
  bool no_special = false;
  bool show_special = false;
  bool json = false;
};

void add_flags(CLI::App& command, GenerateFlags& flags) {
  flags.model.positional_model = false;
  flags.model.log_level = "warn";
  add_model_flags(command, flags.model);
  command.add_option("-p,--prompt", flags.prompt, "The text to continue; without it standard input is read")
      ->group(kTextGroup);
  command.add_flag("--json", flags.json, "One JSON object at the end in place of the text as it comes")
      ->group(kTextGroup);
  command.add_flag("--no-special", flags.no_special, "Add no special tokens (BOS) to the prompt")
      ->group(kTextGroup);
  command.add_flag("--show-special", flags.show_special, "Show special tokens in the text")
      ->group(kTextGroup);
  add_sampling_flags(command, flags.sampling,
                     fmt::format("{}, or what the context leaves", kDefaultMaxTokens));
  command
      .add_flag("--chat", flags.chat,
                "The prompt is a user's message: the model's chat template is around it")
      ->group("Chat");
  command.add_option("--system", flags.system, "With --chat: the system message")->group("Chat");
  add_chat_flags(command, flags.chat_flags);
  command.footer(kExitCodesHelp);
}

Result<std::string> read_prompt(const GenerateFlags& flags) {
  std::string prompt =
      flags.prompt ? *flags.prompt
                   : std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
  if (prompt.empty())
    return invalid_argument("the prompt is empty: give one with -p or on standard input", "--prompt");
  const size_t broken = utf8::find_invalid(prompt);
  if (broken != std::string::npos)
    return invalid_argument(fmt::format("the prompt is not UTF-8: the byte at offset {} is broken", broken),
                            "--prompt");
  return prompt;
}

Result<std::vector<TokenId>> encode_prompt(const GenerateFlags& flags, const ChatSetup& setup,
                                           const std::string& prompt, const LoadedEngine& loaded) {
  if (!flags.chat) return loaded.tokenizer->encode(prompt, {.add_special_tokens = !flags.no_special});
  ASSIGN_OR_RETURN(const auto model, make_chat_model(setup, chat_files(loaded), *loaded.tokenizer));
  std::vector<ChatTurn> turns;
  if (!flags.system.empty()) turns.push_back({.role = "system", .content = flags.system});
  turns.push_back({.role = "user", .content = prompt});
  ASSIGN_OR_RETURN(openai::ChatPrompt made,
                   chat_prompt(conversation_json(turns), *model, *loaded.tokenizer, loaded.engine->info()));
  return std::move(made.ids);
}

Result<int> generate(const GenerateFlags& flags) {
  ASSIGN_OR_RETURN(EngineOptions options, to_engine_options(flags.model));
  options.dummy_seed = flags.sampling.seed.value_or(0);
  ASSIGN_OR_RETURN(const ChatSetup setup, to_chat_setup(flags.chat_flags));
  block_interrupts();
  ASSIGN_OR_RETURN(const std::string prompt, [&]() -> Result<std::string> {
    const InterruptWatch interrupts(exit_on_interrupt);
    return read_prompt(flags);
  }());
  ASSIGN_OR_RETURN(const LoadedEngine loaded, load_with_progress(options));

  GenerationRequest request;
  ASSIGN_OR_RETURN(request.prompt, encode_prompt(flags, setup, prompt, loaded));
  request.sampling = to_sampling(flags.sampling, sampling_defaults(loaded.generation));
  request.text = {.stop = flags.sampling.stop, .skip_special_tokens = !flags.show_special};
  const int room = loaded.engine->info().max_model_len - static_cast<int>(request.prompt.size());
  request.sampling.max_tokens = flags.sampling.max_tokens.value_or(std::clamp(room, 1, kDefaultMaxTokens));

  const auto on_text = [&](std::string_view text) {
    if (flags.json) return;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  ASSIGN_OR_RETURN(const Generation generation,
                   run_generation(*loaded.engine, *loaded.tokenizer, request, on_text));
  const std::string end = flags.json ? generation_json(generation, loaded.load_seconds) : "\n";
  std::fwrite(end.data(), 1, end.size(), stdout);
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", generation_figures(generation, loaded.load_seconds));
  return generation.interrupted ? kExitInterrupted : kExitOk;
}

}  // namespace

void add_generate(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<GenerateFlags>();
  CLI::App* command = app.add_subcommand("generate", "Continue one prompt on the terminal");
  add_flags(*command, *flags);
  command->callback([flags, &exit_code] {
    const Result<int> result = generate(*flags);
    exit_code = result ? *result : report(result.error());
  });
}

}  // namespace pegainfer::apps

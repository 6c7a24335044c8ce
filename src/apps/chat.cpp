// `pegainfer chat`: a conversation on the terminal. `pegainfer template`: what a chat is to the model.
#include <fmt/core.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <iostream>
#include <iterator>
#include <memory>
#include <string>

#include "apps/chat_flags.h"
#include "apps/chat_repl.h"
#include "apps/commands.h"
#include "apps/conversation.h"
#include "apps/exit_code.h"
#include "apps/interrupts.h"
#include "apps/load_with_progress.h"
#include "apps/model_flags.h"
#include "apps/sampling_defaults.h"
#include "apps/sampling_flags.h"
#include "base/log.h"
#include "checkpoint/checkpoint.h"
#include "engine/load_tokenizer.h"

namespace pegainfer::apps {
namespace {

struct ReplFlags {
  ModelFlags model;
  ChatFlags chat;
  SamplingFlags sampling;
  std::string system;
};

// At the prompt the first Ctrl-C only says how to leave.
void on_idle_interrupt(std::atomic<int>& count) {
  if (count++ > 0 || isatty(STDIN_FILENO) == 0) exit_on_interrupt();
  fmt::print("\n(Ctrl-D, /exit or Ctrl-C once more leaves)\n> ");
  std::fflush(stdout);
}

Result<int> converse(const ReplFlags& flags) {
  ASSIGN_OR_RETURN(EngineOptions options, to_engine_options(flags.model));
  ASSIGN_OR_RETURN(const ChatSetup setup, to_chat_setup(flags.chat));
  options.dummy_seed = flags.sampling.seed.value_or(0);
  block_interrupts();
  ASSIGN_OR_RETURN(const LoadedEngine loaded, load_with_progress(options));
  ASSIGN_OR_RETURN(const auto model, make_chat_model(setup, chat_files(loaded), *loaded.tokenizer));
  if (model->plain == nullptr) return unsupported(model->no_template);
  const ChatAsk ask{.sampling = to_sampling(flags.sampling, sampling_defaults(loaded.generation)),
                    .stop = flags.sampling.stop,
                    .max_tokens = flags.sampling.max_tokens.value_or(0)};
  std::atomic<int> interrupts = 0;
  auto idle = std::make_unique<InterruptWatch>([&] { on_idle_interrupt(interrupts); });
  const auto answer = [&](const std::vector<ChatTurn>& turns,
                          const std::function<void(const chat::OutputDelta&)>& on_delta) -> Result<ChatTurn> {
    idle = nullptr;  // an answer under way takes its interrupts itself
    auto reply = chat_reply(turns, ask, *loaded.engine, *loaded.tokenizer, *model, on_delta);
    interrupts = 0;
    idle = std::make_unique<InterruptWatch>([&] { on_idle_interrupt(interrupts); });
    if (!reply) return reply.error();
    return std::move(reply->turn);
  };
  const bool interactive = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  ChatRepl(std::cin, std::cout, answer, {.interactive = interactive, .system = flags.system}).run();
  return kExitOk;
}

struct TemplateFlags {
  std::string model;
  ChatFlags chat;
  bool token_ids = false;
};

Status show_template(const TemplateFlags& flags) {
  set_log_level(LogLevel::kError);
  ASSIGN_OR_RETURN(const ChatSetup setup, to_chat_setup(flags.chat));
  ASSIGN_OR_RETURN(const std::string path, resolve_model_path(flags.model));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                   Checkpoint::open(path, CheckpointOptions{.need_weights = false}));
  ASSIGN_OR_RETURN(const auto tokenizer, load_tokenizer(checkpoint));
  const chat::ChatFiles files{.chat_template = checkpoint.chat_template,
                              .tool_template = checkpoint.tool_template,
                              .special_tokens = checkpoint.special_tokens};
  ASSIGN_OR_RETURN(const auto model, make_chat_model(setup, files, *tokenizer));
  const std::string body{std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
  EngineInfo info;
  info.model_name = default_model_name(flags.model);
  info.vocab_size = tokenizer->vocab_size();
  info.max_model_len = 1 << 30;
  ASSIGN_OR_RETURN(const openai::ChatPrompt prompt, chat_prompt(body, *model, *tokenizer, info));
  std::string out;
  if (flags.token_ids) {
    for (const TokenId id : prompt.ids) out += (out.empty() ? "[" : ", ") + std::to_string(id);
    out += out.empty() ? "[]\n" : "]\n";
  }
  const std::string& text = flags.token_ids ? out : prompt.text;
  std::cout.write(text.data(), static_cast<std::streamsize>(text.size()));
  std::cout.flush();
  return ok_status();
}

}  // namespace

void add_chat(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<ReplFlags>();
  CLI::App* command = app.add_subcommand("chat", "Talk with a model on the terminal; /help there");
  flags->model.log_level = "warn";
  add_model_flags(*command, flags->model);
  add_chat_flags(*command, flags->chat);
  add_sampling_flags(*command, flags->sampling, "what the context leaves");
  command->add_option("--system", flags->system, "The system message")->group("Chat");
  command->footer(kExitCodesHelp);
  command->callback([flags, &exit_code] {
    const Result<int> result = converse(*flags);
    exit_code = result ? *result : report(result.error());
  });
}

void add_template(CLI::App& app, int& exit_code) {
  const auto flags = std::make_shared<TemplateFlags>();
  CLI::App* command = app.add_subcommand(
      "template", "A chat request (JSON) on standard input to the text that the model would read");
  command
      ->add_option("MODEL,-m,--model,--model-path", flags->model,
                   "A folder, a .gguf file or a hub name; weights are not needed")
      ->required();
  add_chat_flags(*command, flags->chat);
  command->add_flag("--token-ids", flags->token_ids, "Its token ids in place of the text");
  command->footer(kExitCodesHelp);
  command->callback([flags, &exit_code] {
    const Status status = show_template(*flags);
    if (!status) exit_code = report(status.error());
  });
}

}  // namespace pegainfer::apps

// `pegainfer generate`: one prompt, its continuation on standard output, figures on standard error.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/exit_code.h"
#include "apps/generation.h"
#include "apps/interrupts.h"
#include "apps/model_flags.h"
#include "apps/progress.h"
#include "apps/sampling_defaults.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "engine/load_engine.h"

namespace pegainfer::apps {
namespace {

constexpr int kDefaultMaxTokens = 256;
constexpr const char* kSamplingGroup = "Sampling";
constexpr const char* kTextGroup = "Text";

struct GenerateFlags {
  ModelFlags model;
  std::optional<std::string> prompt;
  std::optional<int> max_tokens;
  std::optional<double> temperature, top_p, min_p;
  std::optional<int> top_k;
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  std::vector<TokenId> stop_token_ids;
  bool ignore_eos = false;
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
  command
      .add_option(
          "-n,--max-tokens", flags.max_tokens,
          fmt::format("Most tokens to generate; default: {}, or what the context leaves", kDefaultMaxTokens))
      ->check(CLI::Range(0, std::numeric_limits<int>::max()))
      ->group(kSamplingGroup);
  command
      .add_option("--temperature,--temp", flags.temperature,
                  "0: always the most likely token; default: the model's, or 1")
      ->group(kSamplingGroup);
  command
      .add_option("--top-p", flags.top_p, "Sample from the most likely tokens that reach this share; 1: off")
      ->group(kSamplingGroup);
  command.add_option("--top-k", flags.top_k, "Sample from so many most likely tokens; 0: off")
      ->group(kSamplingGroup);
  command
      .add_option("--min-p", flags.min_p, "Leave out tokens less likely than this share of the best; 0: off")
      ->group(kSamplingGroup);
  command
      .add_option("-s,--seed", flags.seed,
                  "The same seed gives the same text (and, with --load-format dummy, weights)")
      ->group(kSamplingGroup);
  command.add_option("--stop", flags.stop, "End before this text; may be given several times")
      ->allow_extra_args(false)
      ->group(kSamplingGroup);
  command.add_option("--stop-token-ids", flags.stop_token_ids, "End at one of these tokens")
      ->group(kSamplingGroup);
  command.add_flag("--ignore-eos", flags.ignore_eos, "Go on after the end of the text")
      ->group(kSamplingGroup);
  command.footer(kExitCodesHelp);
}

SamplingParams to_sampling(const GenerateFlags& flags, const openai::SamplingDefaults& defaults) {
  SamplingParams s;
  s.temperature = static_cast<float>(flags.temperature.value_or(defaults.temperature.value_or(1.0)));
  s.top_p = static_cast<float>(flags.top_p.value_or(defaults.top_p.value_or(1.0)));
  s.min_p = static_cast<float>(flags.min_p.value_or(defaults.min_p.value_or(0.0)));
  s.top_k = flags.top_k.value_or(defaults.top_k.value_or(0));
  s.seed = flags.seed;
  s.stop_token_ids = flags.stop_token_ids;
  s.ignore_eos = flags.ignore_eos;
  return s;
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

Result<LoadedEngine> load(const EngineOptions& options) {
  ProgressBar bar = ProgressBar::to_stderr();
  const Stopwatch watch;
  const InterruptWatch interrupts(exit_on_interrupt);
  auto loaded = load_engine(options, [&](const EngineLoadProgress& progress) {
    bar.update(progress.bytes_done, progress.bytes_total, watch.seconds());
  });
  bar.finish();
  return loaded;
}

Result<int> generate(const GenerateFlags& flags) {
  ASSIGN_OR_RETURN(EngineOptions options, to_engine_options(flags.model));
  options.dummy_seed = flags.seed.value_or(0);
  block_interrupts();
  ASSIGN_OR_RETURN(const std::string prompt, [&]() -> Result<std::string> {
    const InterruptWatch interrupts(exit_on_interrupt);
    return read_prompt(flags);
  }());
  ASSIGN_OR_RETURN(const LoadedEngine loaded, load(options));

  GenerationRequest request;
  request.prompt = loaded.tokenizer->encode(prompt, {.add_special_tokens = !flags.no_special});
  request.sampling = to_sampling(flags, sampling_defaults(loaded.generation));
  request.text = {.stop = flags.stop, .skip_special_tokens = !flags.show_special};
  const int room = loaded.engine->info().max_model_len - static_cast<int>(request.prompt.size());
  request.sampling.max_tokens = flags.max_tokens.value_or(std::clamp(room, 1, kDefaultMaxTokens));

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

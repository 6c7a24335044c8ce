#include "apps/sampling_flags.h"

#include <CLI/CLI.hpp>
#include <limits>

namespace pegainfer::apps {
namespace {

constexpr const char* kSamplingGroup = "Sampling";

}  // namespace

void add_sampling_flags(CLI::App& command, SamplingFlags& flags, const std::string& default_length) {
  command
      .add_option("-n,--max-tokens", flags.max_tokens, "Most tokens to generate; default: " + default_length)
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
}

SamplingParams to_sampling(const SamplingFlags& flags, const openai::SamplingDefaults& defaults) {
  SamplingParams s;
  s.temperature = static_cast<float>(flags.temperature.value_or(defaults.temperature.value_or(1.0)));
  s.top_p = static_cast<float>(flags.top_p.value_or(defaults.top_p.value_or(1.0)));
  s.min_p = static_cast<float>(flags.min_p.value_or(defaults.min_p.value_or(0.0)));
  s.top_k = flags.top_k.value_or(defaults.top_k.value_or(0));
  s.repetition_penalty = static_cast<float>(defaults.repetition_penalty.value_or(1.0));
  s.seed = flags.seed;
  s.stop_token_ids = flags.stop_token_ids;
  s.ignore_eos = flags.ignore_eos;
  return s;
}

}  // namespace pegainfer::apps

// SamplingState: what one request's sampling has to remember, and the work it makes of it for the next row.
// A request that the plain sampler is enough for has none.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/sampling_params.h"
#include "sampling/dry.h"
#include "sampling/logits_work.h"
#include "sampling/said_tokens.h"

namespace pegainfer {

class SamplingState {
 public:
  // Null when `params` (which outlive it) ask for nothing but the plain sampler.
  static std::unique_ptr<SamplingState> create(const SamplingParams& params, std::span<const TokenId> eos,
                                               int num_prompt_tokens, int vocab_size);

  // The work depends on the sequence's last token; else on its length alone.
  [[nodiscard]] bool waits_for_token() const { return waits_for_token_; }
  // Appends the work of the row behind `tokens` (prompt, then output) and `num_pending` more that nobody
  // knows yet; none when waits_for_token().
  void emit(std::span<const TokenId> tokens, int num_pending, LogitsWorkList& out);
  // Of the token that was drawn last.
  void set_mirostat_mu(float mu) {
    if (host_) host_->mirostat_mu = mu;
  }

 private:
  SamplingState(const SamplingParams& params, std::span<const TokenId> eos, int num_prompt_tokens,
                int vocab_size);
  void add_fixed_edits();
  void make_mask(int vocab_size);
  void emit_edits(std::span<const TokenId> tokens, int num_output, LogitsWorkList& out);
  void forbid_bad_words(std::span<const TokenId> output);

  const SamplingParams& params_;
  int num_prompt_tokens_;
  bool waits_for_token_ = false;
  std::vector<LogitEdit> fixed_;    // by token, each once
  std::vector<TokenId> ends_;       // not before min_tokens
  std::vector<uint32_t> mask_;      // none: all are allowed
  std::optional<SaidTokens> said_;  // for the penalties
  std::optional<Dry> dry_;
  std::optional<HostStages> host_;
  std::vector<LogitEdit> edits_;  // of the row in the making
};

}  // namespace pegainfer

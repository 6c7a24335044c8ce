#include "sampling/sampling_state.h"

#include <algorithm>
#include <limits>

namespace pegainfer {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

bool has_penalties(const SamplingParams& p) {
  return p.penalty_last_n != 0 &&
         (p.presence_penalty != 0 || p.frequency_penalty != 0 || p.repetition_penalty != 1);
}

bool has_dry(const DryParams& p) { return p.multiplier > 0 && p.penalty_last_n != 0; }

// Above one half no two tokens reach the threshold.
bool has_xtc(const SamplingParams& p) { return p.xtc_probability > 0 && p.xtc_threshold <= 0.5F; }

// A greedy row is the largest logit whatever these stages do.
bool has_host_stages(const SamplingParams& p) {
  return p.temperature > 0 && (p.typical_p < 1 || p.top_n_sigma > 0 || has_xtc(p) || p.dynatemp_range > 0 ||
                               p.mirostat.version != 0);
}

HostStages host_stages(const SamplingParams& p) {
  return {.typical_p = p.typical_p,
          .top_n_sigma = p.top_n_sigma,
          .xtc_probability = has_xtc(p) ? p.xtc_probability : 0,
          .xtc_threshold = p.xtc_threshold,
          .dynatemp_range = p.dynatemp_range,
          .dynatemp_exponent = p.dynatemp_exponent,
          .mirostat = p.mirostat,
          .mirostat_mu = 2 * p.mirostat.tau};
}

// One edit a token: what is added to it in all.
void merge(std::vector<LogitEdit>& edits) {
  std::ranges::sort(edits, [](const LogitEdit& a, const LogitEdit& b) {
    return a.token != b.token ? a.token < b.token : a.add < b.add;
  });
  size_t to = 0;
  for (const LogitEdit& edit : edits) {
    if (to > 0 && edits[to - 1].token == edit.token) {
      edits[to - 1].add += edit.add;
    } else {
      edits[to++] = edit;
    }
  }
  edits.resize(to);
}

}  // namespace

std::unique_ptr<SamplingState> SamplingState::create(const SamplingParams& params,
                                                     std::span<const TokenId> eos, int num_prompt_tokens,
                                                     int vocab_size) {
  const bool plain = !has_penalties(params) && !has_dry(params.dry) && !has_host_stages(params) &&
                     params.logit_bias.empty() && params.min_tokens <= 0 && params.bad_words.empty() &&
                     params.allowed_token_ids.empty();
  if (plain) return nullptr;
  return std::unique_ptr<SamplingState>(new SamplingState(params, eos, num_prompt_tokens, vocab_size));
}

SamplingState::SamplingState(const SamplingParams& params, std::span<const TokenId> eos,
                             int num_prompt_tokens, int vocab_size)
    : params_(params), num_prompt_tokens_(num_prompt_tokens) {
  add_fixed_edits();
  if (params.min_tokens > 0) {
    ends_.assign(eos.begin(), eos.end());
    ends_.insert(ends_.end(), params.stop_token_ids.begin(), params.stop_token_ids.end());
  }
  if (!params.allowed_token_ids.empty()) make_mask(vocab_size);
  if (has_penalties(params)) said_.emplace(static_cast<size_t>(num_prompt_tokens), params.penalty_last_n);
  if (has_dry(params.dry)) dry_.emplace(params.dry);
  if (has_host_stages(params)) host_ = host_stages(params);
  waits_for_token_ = waits_for_token_ || said_ || dry_ || host_;
}

void SamplingState::add_fixed_edits() {
  for (const LogitBias& bias : params_.logit_bias) fixed_.push_back({bias.token, bias.bias});
  for (const std::vector<TokenId>& word : params_.bad_words) {
    if (word.size() == 1) fixed_.push_back({word.front(), kNever});
    if (word.size() > 1) waits_for_token_ = true;
  }
  merge(fixed_);
}

void SamplingState::make_mask(int vocab_size) {
  const TokenId highest = *std::ranges::max_element(params_.allowed_token_ids);
  mask_.resize(static_cast<size_t>(mask_words(std::max(vocab_size, highest + 1))));
  for (const TokenId id : params_.allowed_token_ids)
    mask_[static_cast<size_t>(id / 32)] |= 1U << static_cast<unsigned>(id % 32);
}

void SamplingState::emit(std::span<const TokenId> tokens, int num_pending, LogitsWorkList& out) {
  LogitsWork work;
  const int num_output = static_cast<int>(tokens.size()) - num_prompt_tokens_ + num_pending;
  work.first_edit = static_cast<int>(out.edits.size());
  emit_edits(tokens, num_output, out);
  work.num_edits = static_cast<int>(out.edits.size()) - work.first_edit;
  work.first_said = static_cast<int>(out.said.size());
  if (said_) {
    said_->update(tokens);
    out.said.insert(out.said.end(), said_->entries().begin(), said_->entries().end());
    work.repetition = params_.repetition_penalty;
    work.presence = params_.presence_penalty;
    work.frequency = params_.frequency_penalty;
  }
  work.num_said = static_cast<int>(out.said.size()) - work.first_said;
  if (!mask_.empty()) {
    work.mask = out.num_masks++;
    out.masks.insert(out.masks.end(), mask_.begin(), mask_.end());
  }
  work.host = host_;
  if (host_) ++out.num_host;
  out.rows.push_back(work);
}

void SamplingState::emit_edits(std::span<const TokenId> tokens, int num_output, LogitsWorkList& out) {
  edits_.assign(fixed_.begin(), fixed_.end());
  const size_t num_fixed = edits_.size();
  if (num_output < params_.min_tokens)
    for (const TokenId end : ends_) edits_.push_back({end, kNever});
  // Words are looked for in the output only, as vLLM does; a word of one token is among the fixed ones.
  forbid_bad_words(tokens.subspan(std::min(tokens.size(), static_cast<size_t>(num_prompt_tokens_))));
  if (dry_) dry_->append(tokens, edits_);
  if (edits_.size() > num_fixed) merge(edits_);
  out.edits.insert(out.edits.end(), edits_.begin(), edits_.end());
}

void SamplingState::forbid_bad_words(std::span<const TokenId> output) {
  for (const std::vector<TokenId>& word : params_.bad_words) {
    if (word.size() < 2 || word.size() - 1 > output.size()) continue;
    const auto tail = output.last(word.size() - 1);
    if (std::equal(tail.begin(), tail.end(), word.begin())) edits_.push_back({word.back(), kNever});
  }
}

}  // namespace pegainfer

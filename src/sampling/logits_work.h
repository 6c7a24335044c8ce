// LogitsWork: what a row of logits goes through besides the plain sampler (temperature, min_p, top_k, top_p),
// as values of one step. docs/sampling.md gives the order of the stages.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "pegainfer/ids.h"
#include "pegainfer/sampling_params.h"

namespace pegainfer {

struct LogitEdit {
  TokenId token = 0;
  float add = 0;  // -infinity: never
};

struct SaidToken {
  TokenId token = 0;
  int32_t count = 0;  // in the output; 0: in the prompt only
};

// The stages that exist on the host alone. A row that asks for one of them is sampled there.
struct HostStages {
  float typical_p = 1;
  float top_n_sigma = -1;
  float xtc_probability = 0;
  float xtc_threshold = 0.1F;
  float dynatemp_range = 0;
  float dynatemp_exponent = 1;
  MirostatParams mirostat;
  float mirostat_mu = 0;  // the surprise allowed now, in bits
};

struct LogitsWork {
  int first_edit = 0;  // in LogitsWorkList::edits, each token at most once
  int num_edits = 0;
  int first_said = 0;  // in LogitsWorkList::said, each token at most once
  int num_said = 0;
  float repetition = 1;
  float presence = 0;
  float frequency = 0;
  int mask = -1;                   // in LogitsWorkList::masks; -1: every token is allowed
  std::optional<HostStages> host;  // empty: sampled on the device
};

// Of all rows of a step. It is filled again and again: the vectors keep their capacity.
struct LogitsWorkList {
  std::vector<LogitsWork> rows;
  std::vector<LogitEdit> edits;
  std::vector<SaidToken> said;
  std::vector<uint32_t> masks;  // [num_masks * words]: bit token % 32 of word token / 32 allows the token
  int num_masks = 0;
  int num_host = 0;

  [[nodiscard]] bool empty() const { return rows.empty(); }
  void clear() {
    rows.clear();
    edits.clear();
    said.clear();
    masks.clear();
    num_masks = num_host = 0;
  }
};

[[nodiscard]] constexpr int mask_words(int vocab_size) { return (vocab_size + 31) / 32; }

// What one step has memory for. A row alone always fits, for it names a token at most once.
struct LogitsWorkLimits {
  int64_t entries = std::numeric_limits<int32_t>::max();  // of edits, and of said tokens
  int masks = std::numeric_limits<int32_t>::max();
  int host_rows = std::numeric_limits<int32_t>::max();

  [[nodiscard]] bool hold(const LogitsWorkList& list) const {
    return static_cast<int64_t>(list.edits.size()) <= entries &&
           static_cast<int64_t>(list.said.size()) <= entries && list.num_masks <= masks &&
           list.num_host <= host_rows;
  }
};

// Some memory for many, all of it for one: rows that do not fit wait for the next step.
[[nodiscard]] constexpr LogitsWorkLimits logits_work_limits(int max_num_seqs, int vocab_size) {
  constexpr int kEntriesASeq = 1024;
  constexpr int kHostRows = 16;  // whole rows of logits come down for these
  return {
      .entries = std::max(int64_t{max_num_seqs} * std::min(kEntriesASeq, vocab_size), int64_t{vocab_size}),
      .masks = max_num_seqs,
      .host_rows = std::min(kHostRows, max_num_seqs)};
}

}  // namespace pegainfer

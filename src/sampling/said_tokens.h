// SaidTokens: the different tokens of a sequence and how often each was generated, kept up to date as it
// grows; over all of it or over its last tokens.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <vector>

#include "pegainfer/ids.h"
#include "sampling/logits_work.h"

namespace pegainfer {

class SaidTokens {
 public:
  // last_n: tokens looked back over; below 0: all.
  SaidTokens(size_t num_prompt_tokens, int last_n) : num_prompt_(num_prompt_tokens), last_n_(last_n) {}

  // `tokens` begins with those of the call before.
  void update(std::span<const TokenId> tokens);
  [[nodiscard]] const std::vector<SaidToken>& entries() const { return entries_; }

 private:
  void add(TokenId token, bool generated);
  void remove(TokenId token, bool generated);

  size_t num_prompt_;
  int last_n_;
  size_t begin_ = 0;  // tokens [begin_, end_) are counted
  size_t end_ = 0;
  std::vector<SaidToken> entries_;
  std::vector<int> num_in_prompt_;                // of each entry
  std::unordered_map<TokenId, size_t> place_of_;  // in entries_
};

}  // namespace pegainfer

#include "sampling/said_tokens.h"

namespace pegainfer {

void SaidTokens::update(std::span<const TokenId> tokens) {
  for (; end_ < tokens.size(); ++end_) add(tokens[end_], end_ >= num_prompt_);
  if (last_n_ < 0) return;
  const auto last_n = static_cast<size_t>(last_n_);
  for (; end_ - begin_ > last_n; ++begin_) remove(tokens[begin_], begin_ >= num_prompt_);
}

void SaidTokens::add(TokenId token, bool generated) {
  const auto [it, is_new] = place_of_.try_emplace(token, entries_.size());
  if (is_new) {
    entries_.push_back({token, 0});
    num_in_prompt_.push_back(0);
  }
  if (generated) {
    ++entries_[it->second].count;
  } else {
    ++num_in_prompt_[it->second];
  }
}

void SaidTokens::remove(TokenId token, bool generated) {
  const auto it = place_of_.find(token);
  const size_t place = it->second;
  if (generated) {
    --entries_[place].count;
  } else {
    --num_in_prompt_[place];
  }
  if (entries_[place].count > 0 || num_in_prompt_[place] > 0) return;
  place_of_.erase(it);
  if (place + 1 < entries_.size()) {
    entries_[place] = entries_.back();
    num_in_prompt_[place] = num_in_prompt_.back();
    place_of_[entries_[place].token] = place;
  }
  entries_.pop_back();
  num_in_prompt_.pop_back();
}

}  // namespace pegainfer

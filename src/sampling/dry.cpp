#include "sampling/dry.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace pegainfer {

// Tokens since the last breaker: a breaker's own tokens are never part of a repetition.
size_t Dry::longest_allowed(std::span<const TokenId> window) const {
  for (size_t end = window.size(); end > 0; --end) {
    for (const std::vector<TokenId>& breaker : params_->sequence_breakers) {
      if (breaker.empty() || breaker.size() > end) continue;
      const auto tail = window.subspan(end - breaker.size(), breaker.size());
      if (std::equal(breaker.begin(), breaker.end(), tail.begin())) return window.size() - end;
    }
  }
  return window.size();
}

// The Z algorithm from the end: match_[i] = the longest common suffix of window[0, i] and of all of it.
void Dry::find_matches(std::span<const TokenId> window) {
  const size_t n = window.size();
  match_.assign(n, 0);
  const auto at = [&](size_t k) { return window[n - 1 - k]; };  // backwards
  size_t left = 0;
  size_t right = 0;  // [left, right) is the match that reaches furthest
  for (size_t k = 1; k < n; ++k) {
    size_t length = 0;
    if (k < right) length = std::min(right - k, match_[n - 1 - (k - left)]);
    while (k + length < n && at(length) == at(k + length)) ++length;
    if (k + length > right) {
      left = k;
      right = k + length;
    }
    match_[n - 1 - k] = length;
  }
}

void Dry::append(std::span<const TokenId> tokens, std::vector<LogitEdit>& out) {
  if (params_->penalty_last_n >= 0)
    tokens = tokens.last(std::min(tokens.size(), static_cast<size_t>(params_->penalty_last_n)));
  const auto allowed = static_cast<size_t>(params_->allowed_length);
  if (tokens.size() <= allowed) return;
  const size_t most = longest_allowed(tokens);
  if (most < allowed) return;
  find_matches(tokens);
  continued_.clear();
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const size_t length = std::min(match_[i], most);
    if (length >= allowed) continued_.push_back({tokens[i + 1], length});
  }
  std::ranges::sort(continued_, [](const Continued& a, const Continued& b) {
    return a.token != b.token ? a.token < b.token : a.length > b.length;
  });
  // As far as a float reaches: beyond it nothing is left of the token anyway.
  constexpr double kMost = std::numeric_limits<float>::max();
  for (size_t i = 0; i < continued_.size(); ++i) {
    if (i > 0 && continued_[i].token == continued_[i - 1].token) continue;
    const double penalty =
        static_cast<double>(params_->multiplier) *
        std::pow(static_cast<double>(params_->base), static_cast<double>(continued_[i].length - allowed));
    out.push_back({continued_[i].token, -static_cast<float>(std::min(penalty, kMost))});
  }
}

}  // namespace pegainfer

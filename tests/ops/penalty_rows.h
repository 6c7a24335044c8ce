// Rows of logits with what was said in each, at random, and what the penalties are to make of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include "backend/ops.h"
#include "ops/matrix.h"

namespace pegainfer::testing {

class PenaltyRows {
 public:
  // Row r has up to `most` entries; the first row none, the second one of each id when `most` allows it.
  PenaltyRows(int64_t rows, int64_t vocab, int64_t most, uint64_t seed, int64_t stride = 0)
      : logits_(DType::kF32, rows, vocab, stride),
        begin_(DType::kI32, rows + 1, 1),
        repetition_(DType::kF32, rows, 1),
        presence_(DType::kF32, rows, 1),
        frequency_(DType::kF32, rows, 1) {
    std::mt19937_64 rng(seed);
    std::uniform_real_distribution<double> number(-1, 1);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < vocab; ++c) logits_.set(r, c, 8 * number(rng));
      repetition_.set(r, 0, 1 + 0.5 * number(rng));
      presence_.set(r, 0, 2 * number(rng));
      frequency_.set(r, 0, 2 * number(rng));
      const int64_t some = 1 + static_cast<int64_t>(rng() % static_cast<uint64_t>(most));
      const int64_t count = r == 0 ? 0 : std::min(r == 1 ? most : some, vocab);
      std::vector<int> all(static_cast<size_t>(vocab));
      for (int64_t c = 0; c < vocab; ++c) all[static_cast<size_t>(c)] = static_cast<int>(c);
      std::shuffle(all.begin(), all.end(), rng);
      begin_.set(r, 0, static_cast<double>(ids_.size()));
      for (int64_t i = 0; i < count; ++i) {
        ids_.push_back(all[static_cast<size_t>(i)]);
        counts_.push_back(static_cast<int32_t>(rng() % 4));  // 0: in the prompt only
      }
    }
    begin_.set(rows, 0, static_cast<double>(ids_.size()));
  }

  Matrix& logits() { return logits_; }
  void set(int64_t row, double repetition, double presence, double frequency) {
    repetition_.set(row, 0, repetition), presence_.set(row, 0, presence), frequency_.set(row, 0, frequency);
  }
  PenaltyView view() {
    const auto n = static_cast<int64_t>(ids_.size());
    return {begin_,
            Tensor::of(ids_.data(), DType::kI32, n, 1),
            Tensor::of(counts_.data(), DType::kI32, n, 1),
            repetition_,
            presence_,
            frequency_};
  }

  // By the definition, a token at a time over the whole vocabulary.
  [[nodiscard]] std::vector<float> expected(int64_t row) const {
    std::vector<float> out;
    for (int64_t c = 0; c < logits_.cols(); ++c) out.push_back(static_cast<float>(logits_.at(row, c)));
    const auto first = static_cast<size_t>(begin_.at(row));
    const auto last = static_cast<size_t>(begin_.at(row + 1));
    for (size_t c = 0; c < out.size(); ++c) {
      const auto said = std::find(ids_.begin() + static_cast<std::ptrdiff_t>(first),
                                  ids_.begin() + static_cast<std::ptrdiff_t>(last), static_cast<int32_t>(c));
      if (said == ids_.begin() + static_cast<std::ptrdiff_t>(last)) continue;
      const int32_t count = counts_[static_cast<size_t>(said - ids_.begin())];
      const auto repetition = static_cast<float>(repetition_.at(row));
      out[c] = out[c] > 0 ? out[c] / repetition : out[c] * repetition;
      const volatile float by_count = static_cast<float>(frequency_.at(row)) * static_cast<float>(count);
      out[c] = out[c] - by_count;
      if (count > 0) out[c] = out[c] - static_cast<float>(presence_.at(row));
    }
    return out;
  }

 private:
  Matrix logits_, begin_, repetition_, presence_, frequency_;
  std::vector<int32_t> ids_, counts_;
};

}  // namespace pegainfer::testing

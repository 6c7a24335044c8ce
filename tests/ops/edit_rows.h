// Rows of logits with edits and masks at random, and what they are to make of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "backend/ops.h"
#include "ops/matrix.h"

namespace pegainfer::testing {

class EditRows {
 public:
  // The first row has no edits, the second one of each id; every third has no mask.
  EditRows(int64_t rows, int64_t vocab, uint64_t seed, int64_t stride = 0)
      : logits_(DType::kF32, rows, vocab, stride),
        begin_(DType::kI32, rows + 1, 1),
        index_(DType::kI32, rows, 1),
        num_words_((vocab + 31) / 32) {
    std::mt19937_64 rng(seed);
    std::uniform_real_distribution<float> number(-8, 8);
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < vocab; ++c) logits_.set(r, c, static_cast<double>(number(rng)));
      begin_.set(r, 0, static_cast<double>(ids_.size()));
      for (int64_t c = 0; c < vocab; ++c) {
        if (r == 0 || (r > 1 && rng() % 3 != 0)) continue;
        ids_.push_back(static_cast<int32_t>(c));
        adds_.push_back(rng() % 5 == 0 ? -std::numeric_limits<float>::infinity() : number(rng));
      }
      index_.set(r, 0, r % 3 == 2 ? -1.0 : static_cast<double>(r % 4));
    }
    begin_.set(rows, 0, static_cast<double>(ids_.size()));
    for (int64_t i = 0; i < 4 * num_words_; ++i)
      words_.push_back(i % 7 == 3 ? ~0U : static_cast<uint32_t>(rng()));
  }

  Matrix& logits() { return logits_; }
  LogitEditsView edits() {
    const auto n = static_cast<int64_t>(ids_.size());
    return {begin_, Tensor::of(ids_.data(), DType::kI32, n, 1), Tensor::of(adds_.data(), DType::kF32, n, 1)};
  }
  MaskView masks() { return {index_, Tensor::of(words_.data(), DType::kI32, 4, num_words_)}; }

  [[nodiscard]] double edited(const Matrix& before, int64_t row, int64_t id) const {
    const auto logit = static_cast<float>(before.at(row, id));
    for (auto i = static_cast<size_t>(begin_.at(row)); i < static_cast<size_t>(begin_.at(row + 1)); ++i)
      if (ids_[i] == id) return static_cast<double>(logit + adds_[i]);
    return static_cast<double>(logit);
  }
  [[nodiscard]] bool allowed(int64_t row, int64_t id) const {
    const auto index = static_cast<int64_t>(index_.at(row));
    if (index < 0) return true;
    const uint32_t word = words_[static_cast<size_t>(index * num_words_ + id / 32)];
    return (word >> static_cast<unsigned>(id % 32) & 1U) != 0;
  }

 private:
  Matrix logits_, begin_, index_;
  int64_t num_words_;
  std::vector<int32_t> ids_;
  std::vector<float> adds_;
  std::vector<uint32_t> words_;
};

}  // namespace pegainfer::testing

#include <gtest/gtest.h>

#include <limits>

#include "ops/machine.h"
#include "ops/penalty_rows.h"

namespace pegainfer::testing {
namespace {

class PenaltiesTest : public ::testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = checked_cpu(cpu::Isa::kPortable);
};

TEST_F(PenaltiesTest, AreWhatTheDefinitionSays) {
  for (const int64_t vocab : {1, 7, 300}) {
    for (const int64_t stride : {0, 320}) {
      PenaltyRows rows(6, vocab, vocab, static_cast<uint64_t>(vocab), stride);
      std::vector<std::vector<float>> expected;
      for (int64_t r = 0; r < 6; ++r) expected.push_back(rows.expected(r));
      backend_->ops().apply_penalties(rows.logits(), rows.view());
      for (int64_t r = 0; r < 6; ++r) {
        for (int64_t c = 0; c < vocab; ++c)
          ASSERT_EQ(static_cast<float>(rows.logits().at(r, c)),
                    expected[static_cast<size_t>(r)][static_cast<size_t>(c)])
              << "row " << r << " id " << c << " of " << vocab;
      }
    }
  }
}

// OpenAI's and CTRL's examples worked by hand: what is positive shrinks, what is negative grows away from
// zero.
TEST_F(PenaltiesTest, OneOfEachByHand) {
  PenaltyRows rows(2, 3, 3, 1);  // row 1: all three ids
  std::vector<int32_t> ids{0, 1, 2};
  std::vector<int32_t> counts{0, 2, 1};
  PenaltyView view = rows.view();
  view.ids = Tensor::of(ids.data(), DType::kI32, 3, 1);
  view.counts = Tensor::of(counts.data(), DType::kI32, 3, 1);
  rows.set(1, 2, 0.5, 0.25);
  rows.logits().set(1, 0, 4);
  rows.logits().set(1, 1, 4);
  rows.logits().set(1, 2, -1);
  backend_->ops().apply_penalties(rows.logits(), view);
  EXPECT_EQ(rows.logits().at(1, 0), 2);  // in the prompt only
  EXPECT_EQ(rows.logits().at(1, 1), 2 - 2 * 0.25 - 0.5);
  EXPECT_EQ(rows.logits().at(1, 2), -2 - 0.25 - 0.5);
}

TEST_F(PenaltiesTest, NeutralOnesChangeNoBit) {
  PenaltyRows rows(3, 50, 50, 2);
  for (int64_t r = 0; r < 3; ++r) rows.set(r, 1, 0, 0);
  rows.logits().set(1, 5, -std::numeric_limits<double>::infinity());  // a masked token stays one
  const Matrix before = rows.logits();
  backend_->ops().apply_penalties(rows.logits(), rows.view());
  for (int64_t r = 0; r < 3; ++r) EXPECT_EQ(rows.logits().row_bytes(r), before.row_bytes(r));
}

TEST_F(PenaltiesTest, WhatIsCheckedIsNamed) {
  PenaltyRows rows(3, 50, 50, 2);
  PenaltyView view = rows.view();
  *view.ids.row<int32_t>(0) = 50;
  EXPECT_DEATH(backend_->ops().apply_penalties(rows.logits(), view), "ids");
  *view.ids.row<int32_t>(0) = 0;
  rows.set(2, 0, 0, 0);
  EXPECT_DEATH(backend_->ops().apply_penalties(rows.logits(), view), "repetition\\[2\\] is 0");
}

}  // namespace
}  // namespace pegainfer::testing

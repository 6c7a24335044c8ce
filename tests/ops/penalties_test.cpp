#include <gtest/gtest.h>

#include <limits>

#include "ops/edit_rows.h"
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

// Rows of a slice: begin does not start at 0 then.
TEST_F(PenaltiesTest, EditsAreAdded) {
  for (const int64_t vocab : {1, 40, 300}) {
    for (const int64_t stride : {0, 320}) {
      EditRows rows(7, vocab, static_cast<uint64_t>(vocab), stride);
      const Matrix before = rows.logits();
      LogitEditsView slice = rows.edits();
      slice.begin = slice.begin.slice_rows(2, 6);
      backend_->ops().add_logits(rows.logits().tensor().slice_rows(2, 5), slice);
      for (int64_t r = 0; r < 7; ++r)
        for (int64_t c = 0; c < vocab; ++c)
          ASSERT_EQ(rows.logits().at(r, c), r < 2 ? before.at(r, c) : rows.edited(before, r, c))
              << "row " << r << " id " << c << " of " << vocab;
    }
  }
}

TEST_F(PenaltiesTest, MasksLeaveWhatTheyAllow) {
  for (const int64_t vocab : {1, 31, 32, 33, 300}) {
    EditRows rows(7, vocab, static_cast<uint64_t>(vocab), 320);
    const Matrix before = rows.logits();
    backend_->ops().mask_logits(rows.logits(), rows.masks());
    for (int64_t r = 0; r < 7; ++r)
      for (int64_t c = 0; c < vocab; ++c)
        ASSERT_EQ(rows.logits().at(r, c),
                  rows.allowed(r, c) ? before.at(r, c) : -std::numeric_limits<double>::infinity())
            << "row " << r << " id " << c << " of " << vocab;
  }
}

TEST_F(PenaltiesTest, WhatIsWrongWithEditsAndMasksIsNamed) {
  EditRows rows(3, 50, 1);
  LogitEditsView edits = rows.edits();
  *edits.ids.row<int32_t>(0) = -1;
  EXPECT_DEATH(backend_->ops().add_logits(rows.logits(), edits), "ids");
  *edits.ids.row<int32_t>(0) = 0;
  *edits.adds.row<float>(0) = std::numeric_limits<float>::infinity();
  EXPECT_DEATH(backend_->ops().add_logits(rows.logits(), edits), "adds\\[0\\] is inf");
  MaskView masks = rows.masks();
  *masks.index.row<int32_t>(1) = static_cast<int32_t>(masks.words.rows);
  EXPECT_DEATH(backend_->ops().mask_logits(rows.logits(), masks), "index");
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

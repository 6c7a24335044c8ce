// Sampling and log-probabilities against their twins on the CPU, which tests/ops holds to what they are to
// do.
#include <fmt/core.h>

#include "backend/cuda/machine.h"
#include "ops/edit_rows.h"
#include "ops/matrix.h"
#include "ops/penalty_rows.h"

namespace pegainfer::testing {
namespace {

struct Params {
  double temperature = 1;
  int top_k = 0;
  double top_p = 1;
  double min_p = 0;
};

std::string describe(const Params& p) {
  return fmt::format("temperature {} top_k {} top_p {} min_p {}", p.temperature, p.top_k, p.top_p, p.min_p);
}

// Rows of logits with parameters each.
class SampleBatch {
 public:
  SampleBatch(int64_t rows, int64_t vocab, int64_t stride = 0)
      : logits_(DType::kF32, rows, vocab, stride),
        temperature_(DType::kF32, rows, 1),
        top_k_(DType::kI32, rows, 1),
        top_p_(DType::kF32, rows, 1),
        min_p_(DType::kF32, rows, 1),
        seed_(DType::kI64, rows, 1),
        position_(DType::kI64, rows, 1) {}

  float* row(int64_t r) { return logits_.tensor().row<float>(r); }
  void set(int64_t r, const Params& p, int64_t seed, int64_t position) {
    temperature_.set(r, 0, p.temperature);
    top_k_.set(r, 0, p.top_k);
    top_p_.set(r, 0, p.top_p);
    min_p_.set(r, 0, p.min_p);
    *seed_.tensor().row<int64_t>(r) = seed;
    *position_.tensor().row<int64_t>(r) = position;
  }
  std::vector<int> sample(Ops& ops, int64_t begin, int64_t count) {
    Matrix out(DType::kI32, count, 1);
    out.fill(-7);
    const auto part = [&](Matrix& m) { return m.tensor().slice_rows(begin, count); };
    ops.sample(part(logits_),
               {part(temperature_), part(top_k_), part(top_p_), part(min_p_), part(seed_), part(position_)},
               out);
    std::vector<int> tokens;
    for (int64_t r = 0; r < count; ++r) tokens.push_back(static_cast<int>(out.at(r)));
    return tokens;
  }
  std::vector<int> sample(Ops& ops) { return sample(ops, 0, logits_.rows()); }
  Matrix& logits() { return logits_; }

 private:
  Matrix logits_, temperature_, top_k_, top_p_, min_p_, seed_, position_;
};

// Kinds of rows: flat, bell-shaped, peaked as a model's are, with many ties, with tokens that are masked.
void fill_row(float* x, int64_t n, int kind, uint64_t seed) {
  for (int64_t i = 0; i < n; ++i) {
    const auto u = [&](uint64_t k) { return noise(seed, k, 3, static_cast<uint64_t>(i)); };
    const double bell = u(1) + u(2) + u(3) + u(4);
    double v = 3 * u(1);
    if (kind == 1) v = 2.5 * bell;
    if (kind == 2) v = 3 * bell + (u(5) > 0.995 ? 12 + 6 * u(6) : 0) - 4;
    if (kind == 3) v = std::round(8 * bell) / 4;
    if (kind == 4) v = u(7) > 0 ? -HUGE_VAL : 4 * bell;
    if (kind == 5) v = 1000 + 40 * bell;
    x[i] = static_cast<float>(v);
  }
  if (kind == 4) x[n / 2] = 3;
}
constexpr int kKinds = 6;

const std::vector<Params> kParams{{.temperature = 0},
                                  {},
                                  {.temperature = 0.3},
                                  {.temperature = 2},
                                  {.top_k = 1},
                                  {.top_k = 12},
                                  {.top_k = 50},
                                  {.top_k = 2000},
                                  {.top_k = 1 << 20},
                                  {.temperature = 0.05, .top_k = 40},
                                  {.top_p = 1e-9},
                                  {.top_p = 0.3},
                                  {.top_p = 0.95},
                                  {.top_p = 0.999},
                                  {.temperature = 2, .top_p = 0.9},
                                  {.min_p = 1},
                                  {.min_p = 0.1},
                                  {.min_p = 1e-6},
                                  {.temperature = 0.6, .top_k = 20, .top_p = 0.95},
                                  {.temperature = 0.8, .top_k = 20, .top_p = 0.7},
                                  {.temperature = 1.3, .top_k = 40, .top_p = 0.95, .min_p = 0.05},
                                  {.temperature = 1.7, .top_k = 5000, .top_p = 0.8},
                                  {.temperature = 2, .top_p = 0.5, .min_p = 0.3},
                                  {.temperature = 1e-40},
                                  {.temperature = 1e30, .top_p = 0.5}};

class CudaSamplingTest : public CudaTest {
 protected:
  int draw_one(const std::vector<float>& logits, const Params& p) {
    SampleBatch batch(1, static_cast<int64_t>(logits.size()));
    std::copy(logits.begin(), logits.end(), batch.row(0));
    batch.set(0, p, 1, 0);
    return batch.sample(ops())[0];
  }
  // Rows of all kinds and parameters; how many tokens are others than the CPU's.
  int count_others(int64_t vocab, int64_t rows, uint64_t seed, int64_t stride = 0) {
    SampleBatch batch(rows, vocab, stride);
    for (int64_t r = 0; r < rows; ++r) {
      const auto i = static_cast<uint64_t>(r) + seed;
      fill_row(batch.row(r), vocab, static_cast<int>(i % kKinds), i);
      batch.set(r, kParams[(i / kKinds) % kParams.size()], static_cast<int64_t>(i * 7919),
                r % 3 == 0 ? r : 1000000 + r);
    }
    const std::vector<int> expected = batch.sample(cpu_ops());
    const std::vector<int> got = batch.sample(ops());
    int others = 0;
    for (int64_t r = 0; r < rows; ++r) {
      if (got[static_cast<size_t>(r)] == expected[static_cast<size_t>(r)]) continue;
      ++others;
      const auto i = static_cast<uint64_t>(r) + seed;
      fmt::print("vocab {} row {} of kind {}, {}: {} and not {}\n", vocab, r, i % kKinds,
                 describe(kParams[(i / kKinds) % kParams.size()]), got[static_cast<size_t>(r)],
                 expected[static_cast<size_t>(r)]);
    }
    return others;
  }
};

TEST_F(CudaSamplingTest, GreedyTakesTheLowestIdOnATie) {
  std::vector<float> logits(1000);
  fill_row(logits.data(), 1000, 0, 1);
  logits[777] = logits[401] = logits[402] = 9;
  EXPECT_EQ(draw_one(logits, {.temperature = 0}), 401);
  EXPECT_EQ(draw_one({5}, {.temperature = 0}), 0);
  EXPECT_EQ(draw_one({-3, -1, -1}, {.temperature = 0}), 1);
  logits[999] = 10;
  EXPECT_EQ(draw_one(logits, {.temperature = 0}), 999);
  EXPECT_EQ(draw_one({-1, -0.0F, 0.0F}, {.temperature = 0}), 1);  // one value
  EXPECT_EQ(draw_one({-1, 0.0F, -0.0F}, {.temperature = 0}), 1);
}

TEST_F(CudaSamplingTest, RowsThatCannotBeSampled) {
  const float inf = HUGE_VALF;
  for (const Params& p :
       {Params{.temperature = 0}, Params{}, Params{.top_k = 5}, Params{.top_p = 0.5}, Params{.min_p = 0.1}}) {
    for (const size_t at : {0, 16, 98, 99}) {
      std::vector<float> logits(100);
      fill_row(logits.data(), 100, 0, 2);
      logits[at] = NAN;
      EXPECT_EQ(draw_one(logits, p), -1) << "NaN at " << at;
      logits[at] = inf;
      EXPECT_EQ(draw_one(logits, p), -1) << "infinity at " << at;
      logits[at] = -inf;
      EXPECT_GE(draw_one(logits, p), 0) << "-infinity at " << at;
    }
    EXPECT_EQ(draw_one(std::vector<float>(50, -inf), p), -1);
    std::vector<float> one(50, -inf);
    one[33] = -2;
    EXPECT_EQ(draw_one(one, p), 33);
  }
}

// The same tokens as on the CPU, which computes the weights with the same operations; sums differ by 1e-11.
TEST_F(CudaSamplingTest, AgreesWithTheCpu) {
  int others = 0;
  int rows = 0;
  for (const int64_t vocab : {1, 2, 5, 37, 300, 513, 5000}) {
    const int64_t n = vocab < 1000 ? 600 : 300;
    others += count_others(vocab, n, static_cast<uint64_t>(vocab), vocab % 2 == 0 ? 0 : vocab + 3);
    rows += static_cast<int>(n);
  }
  EXPECT_LE(others * 1000, rows) << others << " of " << rows;
}

TEST_F(CudaSamplingTest, AgreesWithTheCpuOverALargeVocabularyLarge) {
  int others = 0;
  others += count_others(32003, 150, 11);
  others += count_others(151936, 150, 12);
  others += count_others(262144, 20, 13);
  others += count_others(151936, 1, 14) + count_others(151936, 8, 37);
  EXPECT_LE(others, 0);
}

// Alone, in a small batch and in a large one: other numbers of CTAs, the same token.
TEST_F(CudaSamplingTest, ARowDependsOnItselfAloneLarge) {
  constexpr int64_t kRows = 150;
  constexpr int64_t kVocab = 20011;
  SampleBatch batch(kRows, kVocab);
  for (int64_t r = 0; r < kRows; ++r) {
    const auto i = static_cast<uint64_t>(r);
    fill_row(batch.row(r), kVocab, static_cast<int>(i % kKinds), i);
    batch.set(r, kParams[i % kParams.size()], r, 5);
  }
  const std::vector<int> together = batch.sample(ops());
  for (int64_t r = 0; r < kRows; ++r)
    EXPECT_EQ(batch.sample(ops(), r, 1)[0], together[static_cast<size_t>(r)]) << r;
  for (int64_t r = 0; r < kRows; r += 10) {
    const std::vector<int> few = batch.sample(ops(), r, 10);
    for (int64_t i = 0; i < 10; ++i)
      EXPECT_EQ(few[static_cast<size_t>(i)], together[static_cast<size_t>(r + i)]);
  }
  EXPECT_EQ(batch.sample(ops()), together);
}

TEST_F(CudaSamplingTest, TheDrawDependsOnSeedAndPosition) {
  SampleBatch batch(64, 400);
  const auto draw = [&](int64_t seed, int64_t position) {
    for (int64_t r = 0; r < 64; ++r) {
      fill_row(batch.row(r), 400, 0, 1);
      batch.set(r, {}, seed, position + r);
    }
    return batch.sample(ops());
  };
  const std::vector<int> first = draw(42, 1000);
  EXPECT_NE(draw(43, 1000), first);
  EXPECT_NE(draw(42 + (int64_t{1} << 32U), 1000), first);
  EXPECT_NE(draw(42, 2000), first);
  EXPECT_EQ(draw(42, 1000), first);
}

struct LogprobsOut {
  Matrix chosen, ids, tops;
  LogprobsOut(int64_t rows, int top_n)
      : chosen(DType::kF32, rows, 1), ids(DType::kI32, rows, top_n), tops(DType::kF32, rows, top_n) {
    chosen.fill(-7);
    ids.fill(-7);
    tops.fill(-7);
  }
};

void expect_same_logprobs(const LogprobsOut& got, const LogprobsOut& expected, const std::string& what) {
  const auto same = [&](double a, double b) {
    return a == b || std::abs(a - b) <= 2e-6 || (std::isnan(a) && std::isnan(b));
  };
  for (int64_t r = 0; r < expected.chosen.rows(); ++r) {
    EXPECT_TRUE(same(got.chosen.at(r), expected.chosen.at(r)))
        << what << " row " << r << ": " << got.chosen.at(r) << " and not " << expected.chosen.at(r);
    for (int64_t i = 0; i < expected.ids.cols(); ++i) {
      EXPECT_EQ(got.ids.at(r, i), expected.ids.at(r, i)) << what << " row " << r << " top " << i;
      EXPECT_TRUE(same(got.tops.at(r, i), expected.tops.at(r, i))) << what << " row " << r << " top " << i;
    }
  }
}

TEST_F(CudaSamplingTest, Logprobs) {
  for (const int64_t vocab : {1, 5, 300, 5003, 40000}) {
    for (const int top_n : {0, 1, 7, 20}) {
      constexpr int64_t kRows = 12;
      Matrix logits(DType::kF32, kRows, vocab, vocab + vocab % 2);
      Matrix targets(DType::kI32, kRows, 1);
      for (int64_t r = 0; r < kRows; ++r) {
        fill_row(logits.tensor().row<float>(r), vocab, static_cast<int>(r % kKinds),
                 static_cast<uint64_t>(r));
        targets.set(r, 0, static_cast<double>(r == 3 ? -1 : (r * 7919) % vocab));
      }
      if (vocab > 200) {
        logits.set(7, 17, NAN);
        for (int64_t c = 0; c < vocab; ++c) logits.set(8, c, -HUGE_VAL);
        logits.set(9, 100, HUGE_VAL);
        for (const int64_t c : {50, 100, 299}) logits.set(10, c, 25);  // ties at the top
        for (int64_t c = 0; c < vocab; ++c) logits.set(11, c, 2);
      }
      LogprobsOut got(kRows, top_n);
      LogprobsOut expected(kRows, top_n);
      ops().logprobs(logits, targets, top_n, got.chosen, got.ids, got.tops);
      cpu_ops().logprobs(logits, targets, top_n, expected.chosen, expected.ids, expected.tops);
      expect_same_logprobs(got, expected, fmt::format("vocab {} top_n {}", vocab, top_n));
      // A row alone.
      LogprobsOut one(1, top_n);
      ops().logprobs(logits.tensor().slice_rows(5, 1), targets.tensor().slice_rows(5, 1), top_n, one.chosen,
                     one.ids, one.tops);
      EXPECT_EQ(one.chosen.row_bytes(0), got.chosen.row_bytes(5));
      EXPECT_EQ(one.tops.row_bytes(0), got.tops.row_bytes(5));
    }
  }
}

TEST_F(CudaSamplingTest, LogprobsOfManyRowsLarge) {
  constexpr int64_t kRows = 70;
  constexpr int64_t kVocab = 151936;
  Matrix logits(DType::kF32, kRows, kVocab);
  Matrix targets(DType::kI32, kRows, 1);
  for (int64_t r = 0; r < kRows; ++r) {
    fill_row(logits.tensor().row<float>(r), kVocab, static_cast<int>(r % kKinds), static_cast<uint64_t>(r));
    targets.set(r, 0, static_cast<double>(r * 1009));
  }
  LogprobsOut got(kRows, 20);
  LogprobsOut expected(kRows, 20);
  ops().logprobs(logits, targets, 20, got.chosen, got.ids, got.tops);
  cpu_ops().logprobs(logits, targets, 20, expected.chosen, expected.ids, expected.tops);
  expect_same_logprobs(got, expected, "many rows");
}

TEST_F(CudaSamplingTest, PenaltiesAreTheTwinsBits) {
  for (const int64_t vocab : {1, 300, 5000}) {
    for (const int64_t stride : {int64_t{0}, vocab + 24}) {
      PenaltyRows got(9, vocab, vocab, static_cast<uint64_t>(vocab), stride);
      PenaltyRows expected = got;
      ops().apply_penalties(got.logits(), got.view());
      cpu_ops().apply_penalties(expected.logits(), expected.view());
      for (int64_t r = 0; r < 9; ++r)
        ASSERT_EQ(got.logits().row_bytes(r), expected.logits().row_bytes(r))
            << "row " << r << " of " << vocab;
    }
  }
  PenaltyRows none(0, 16, 4, 1);
  ops().apply_penalties(none.logits(), none.view());
}

TEST_F(CudaSamplingTest, EditsAndMasksAreTheTwinsBits) {
  for (const int64_t vocab : {1, 32, 300, 5000}) {
    for (const int64_t stride : {int64_t{0}, vocab + 24}) {
      EditRows got(9, vocab, static_cast<uint64_t>(vocab), stride);
      EditRows expected = got;
      ops().add_logits(got.logits(), got.edits());
      cpu_ops().add_logits(expected.logits(), expected.edits());
      for (int64_t r = 0; r < 9; ++r)
        ASSERT_EQ(got.logits().row_bytes(r), expected.logits().row_bytes(r))
            << "edits of row " << r << " of " << vocab;
      ops().mask_logits(got.logits(), got.masks());
      cpu_ops().mask_logits(expected.logits(), expected.masks());
      for (int64_t r = 0; r < 9; ++r)
        ASSERT_EQ(got.logits().row_bytes(r), expected.logits().row_bytes(r))
            << "masks of row " << r << " of " << vocab;
    }
  }
  EditRows none(0, 16, 1);
  ops().add_logits(none.logits(), none.edits());
  ops().mask_logits(none.logits(), none.masks());
}

}  // namespace
}  // namespace pegainfer::testing

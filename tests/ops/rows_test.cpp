// The ops that work row by row, each against loops in double that round where PyTorch materialises a tensor.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "ops/machine.h"
#include "ops/matrix.h"

namespace pegainfer::testing {
namespace {

struct Case {
  cpu::Isa isa;
  DType dtype;
};

class RowsTest : public ::testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Backend> backend_ = checked_cpu(GetParam().isa);
  Ops& ops_ = backend_->ops();
  DType dtype_ = GetParam().dtype;

  [[nodiscard]] double rounded(double x) const { return materialised(x, dtype_); }
  void expect_close(const Matrix& got, const Matrix& expected, std::string_view what) const {
    const Distance d = distance(got, expected);
    EXPECT_TRUE(close_enough(d, expected.dtype()))
        << what << ": nmse " << d.nmse << " p99 " << d.p99 << " worst " << d.worst;
  }
  Matrix noise_matrix(int64_t rows, int64_t cols, uint64_t seed, double scale = 1, int64_t stride = 0) const {
    Matrix m(dtype_, rows, cols, stride);
    fill_noise(m, seed, scale);
    return m;
  }
  static Matrix parameters(int64_t cols, uint64_t seed) {
    Matrix m(DType::kF32, 1, cols);
    for (int64_t c = 0; c < cols; ++c) m.set(0, c, 1 + 0.5 * noise(seed, 9, 0, static_cast<uint64_t>(c)));
    return m;
  }
  Matrix norm_reference(const Matrix& x, const Matrix& weight, double eps) const {
    Matrix out(dtype_, x.rows(), x.cols());
    for (int64_t r = 0; r < x.rows(); ++r) {
      double squares = 0;
      for (int64_t c = 0; c < x.cols(); ++c) squares += x.at(r, c) * x.at(r, c);
      const double scale = 1 / std::sqrt(squares / static_cast<double>(x.cols()) + eps);
      for (int64_t c = 0; c < x.cols(); ++c) out.set(r, c, rounded(x.at(r, c) * scale) * weight.at(0, c));
    }
    return out;
  }
};

TEST_P(RowsTest, RmsNorm) {
  for (const int64_t cols : {1, 7, 16, 64, 100, 576, 1024, 4099}) {
    for (const int64_t rows : {1, 3, 70}) {
      Matrix x = noise_matrix(rows, cols, 1, 3, cols + 5);
      Matrix weight = parameters(cols, 2);
      Matrix out(dtype_, rows, cols);
      ops_.rms_norm(x, weight, 1e-5F, out);
      expect_close(out, norm_reference(x, weight, static_cast<double>(1e-5F)), "rms_norm");
      ops_.rms_norm(x, weight, 1e-5F, x);  // in place
      for (int64_t r = 0; r < rows; ++r) EXPECT_EQ(x.row_bytes(r), out.row_bytes(r));
    }
  }
}

TEST_P(RowsTest, RmsNormOfTinyAndHugeValues) {
  for (const double scale : {1e-20, 1e-3, 1e4, 1e15}) {
    Matrix x = noise_matrix(2, 576, 3, scale);
    Matrix weight = parameters(576, 2);
    Matrix out(dtype_, 2, 576);
    ops_.rms_norm(x, weight, 1e-6F, out);
    expect_close(out, norm_reference(x, weight, static_cast<double>(1e-6F)), "rms_norm");
  }
}

TEST_P(RowsTest, AddRoundsTheSum) {
  for (const int64_t cols : {5, 576, 2048}) {
    Matrix x = noise_matrix(9, cols, 1, 30);
    Matrix delta = noise_matrix(9, cols, 2);
    Matrix sum(dtype_, 9, cols);
    for (int64_t r = 0; r < 9; ++r) {
      for (int64_t c = 0; c < cols; ++c) sum.set(r, c, x.at(r, c) + delta.at(r, c));
    }
    ops_.add(x, delta);
    for (int64_t r = 0; r < 9; ++r) EXPECT_EQ(x.row_bytes(r), sum.row_bytes(r));
  }
}

// Positions, frequencies and a YaRN factor; the angle is an F32 product, as in the reference.
TEST_P(RowsTest, RopeTable) {
  constexpr int64_t kHalf = 20;
  Matrix positions(DType::kI32, 6, 1);
  const int values[] = {0, 1, 17, 4095, 40959, 1000000};
  for (int64_t r = 0; r < 6; ++r) positions.set(r, 0, values[r]);
  Matrix inv_freq(DType::kF32, 1, kHalf);
  for (int64_t i = 0; i < kHalf; ++i) inv_freq.set(0, i, std::pow(10000.0, -static_cast<double>(i) / kHalf));
  for (const float factor : {1.0F, 1.2079F}) {
    Matrix out(DType::kF32, 6, 2 * kHalf);
    ops_.rope_table(positions, inv_freq, factor, dtype_, out);
    Matrix expected(DType::kF32, 6, 2 * kHalf);
    for (int64_t r = 0; r < 6; ++r) {
      for (int64_t i = 0; i < kHalf; ++i) {
        const float angle = static_cast<float>(positions.at(r)) * static_cast<float>(inv_freq.at(0, i));
        const double f = static_cast<double>(factor);
        expected.set(r, i, rounded(std::cos(static_cast<double>(angle)) * f));
        expected.set(r, kHalf + i, rounded(std::sin(static_cast<double>(angle)) * f));
      }
    }
    const Distance d = distance(out, expected);
    EXPECT_TRUE(close_enough(d, dtype_)) << "rope_table: nmse " << d.nmse << " worst " << d.worst;
  }
}

struct RopeShape {
  int heads;
  int kv_heads;
  int head_dim;
  int rotary_dim;
  bool norm;
};

class RopeReference {
 public:
  RopeReference(DType dtype, int head_dim, double eps) : dtype_(dtype), head_dim_(head_dim), eps_(eps) {}

  void apply(Matrix& m, int64_t first_col, int heads, const Matrix* norm, const Matrix& table) const {
    for (int64_t r = 0; r < m.rows(); ++r) {
      for (int h = 0; h < heads; ++h) head(m, r, first_col + int64_t{h} * head_dim_, norm, table);
    }
  }

 private:
  void head(Matrix& m, int64_t r, int64_t col, const Matrix* norm, const Matrix& table) const {
    if (norm != nullptr) {
      double squares = 0;
      for (int i = 0; i < head_dim_; ++i) squares += m.at(r, col + i) * m.at(r, col + i);
      const double scale = 1 / std::sqrt(squares / head_dim_ + eps_);
      for (int i = 0; i < head_dim_; ++i) {
        m.set(r, col + i, materialised(m.at(r, col + i) * scale, dtype_) * norm->at(0, i));
      }
    }
    const int64_t half = table.cols() / 2;
    for (int64_t i = 0; i < half; ++i) {
      const double a = m.at(r, col + i);
      const double b = m.at(r, col + half + i);
      const double cos = table.at(r, i);
      const double sin = table.at(r, half + i);
      m.set(r, col + i, materialised(a * cos, dtype_) + materialised(-b * sin, dtype_));
      m.set(r, col + half + i, materialised(b * cos, dtype_) + materialised(a * sin, dtype_));
    }
  }

  DType dtype_;
  int head_dim_;
  double eps_;
};

TEST_P(RowsTest, QkNormRopeOnSlicesOfQkv) {
  for (const RopeShape& s : std::vector<RopeShape>{{9, 3, 64, 64, false},
                                                   {4, 2, 32, 32, true},
                                                   {5, 1, 80, 32, true},
                                                   {2, 2, 128, 64, false},
                                                   {1, 1, 6, 2, true}}) {
    const int64_t tokens = 11;
    const int64_t cols = int64_t{s.heads + 2 * s.kv_heads} * s.head_dim;
    Matrix qkv = noise_matrix(tokens, cols, 4, 2);
    Matrix expected = noise_matrix(tokens, cols, 4, 2);
    Matrix q_norm = parameters(s.head_dim, 5);
    Matrix k_norm = parameters(s.head_dim, 6);
    Matrix table(DType::kF32, tokens, s.rotary_dim);
    fill_noise(table, 7);
    for (int64_t r = 0; r < tokens; ++r) {  // as rope_table leaves them
      for (int64_t c = 0; c < s.rotary_dim; ++c) table.set(r, c, rounded(table.at(r, c)));
    }
    const int64_t q_cols = int64_t{s.heads} * s.head_dim;
    const int64_t k_cols = int64_t{s.kv_heads} * s.head_dim;
    ops_.qk_norm_rope(qkv.tensor().slice_cols(0, q_cols), qkv.tensor().slice_cols(q_cols, k_cols), s.head_dim,
                      s.norm ? q_norm.tensor() : Tensor{}, s.norm ? k_norm.tensor() : Tensor{}, 1e-6F, table);
    const RopeReference reference(dtype_, s.head_dim, static_cast<double>(1e-6F));
    reference.apply(expected, 0, s.heads, s.norm ? &q_norm : nullptr, table);
    reference.apply(expected, q_cols, s.kv_heads, s.norm ? &k_norm : nullptr, table);
    expect_close(qkv, expected, "qk_norm_rope");  // v, the last columns, is as it was
  }
}

TEST_P(RowsTest, SiluMul) {
  for (const int64_t n : {1, 15, 160, 1536}) {
    Matrix gate_up = noise_matrix(5, 2 * n, 8, 12);
    Matrix out(dtype_, 5, n);
    ops_.silu_mul(gate_up, out);
    Matrix expected(dtype_, 5, n);
    for (int64_t r = 0; r < 5; ++r) {
      for (int64_t c = 0; c < n; ++c) {
        const double g = gate_up.at(r, c);
        expected.set(r, c, rounded(g / (1 + std::exp(-g))) * gate_up.at(r, n + c));
      }
    }
    expect_close(out, expected, "silu_mul");
  }
}

// Each value within a few units in the last place, over the whole range of the exponential inside.
TEST_P(RowsTest, SiluIsAccurateEverywhere) {
  constexpr int64_t kN = 4000;
  Matrix gate_up(DType::kF32, 1, 2 * kN);
  for (int64_t c = 0; c < kN; ++c) {
    gate_up.set(0, c, -86 + 0.045 * static_cast<double>(c));
    gate_up.set(0, kN + c, 1);
  }
  Matrix out(DType::kF32, 1, kN);
  ops_.silu_mul(gate_up, out);
  for (int64_t c = 0; c < kN; ++c) {
    const double g = gate_up.at(0, c);
    const double expected = g / (1 + std::exp(-g));
    EXPECT_NEAR(out.at(0, c) / expected, 1, 3e-7) << "silu(" << g << ")";
    if (HasFailure()) break;
  }
}

TEST_P(RowsTest, SiluOfExtremes) {
  Matrix gate_up(dtype_, 1, 10);
  const double inf = HUGE_VAL;
  const double gates[] = {inf, -200, 200, 0, NAN};
  for (int64_t c = 0; c < 5; ++c) {
    gate_up.set(0, c, gates[c]);
    gate_up.set(0, 5 + c, 2);
  }
  Matrix out(dtype_, 1, 5);
  ops_.silu_mul(gate_up, out);
  EXPECT_EQ(out.at(0, 0), inf);
  EXPECT_EQ(out.at(0, 1), 0);
  EXPECT_EQ(out.at(0, 2), 400);
  EXPECT_EQ(out.at(0, 3), 0);
  EXPECT_TRUE(std::isnan(out.at(0, 4)));
}

// A step's tokens come from the step before, but where the host knows them.
TEST_P(RowsTest, TakeTokens) {
  const auto column = [](std::vector<int> values) {
    Matrix m(DType::kI32, static_cast<int64_t>(values.size()), 1);
    for (size_t i = 0; i < values.size(); ++i) m.set(static_cast<int64_t>(i), 0, values[i]);
    return m;
  };
  Matrix tokens = column({70, -1, 90});
  Matrix rows = column({-1, 2, 2, -1, 0, 1});
  Matrix ids = column({5, -1, -1, 6, -1, -1});
  ops_.take_tokens(tokens, rows, ids);
  const int expected[] = {5, 90, 90, 6, 70, 0};
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(ids.at(i, 0), expected[i]) << i;
  for (int64_t i = 0; i < 3; ++i)
    EXPECT_EQ(tokens.at(i, 0), (std::array{70, -1, 90}[static_cast<size_t>(i)]));
}

TEST_P(RowsTest, GatherRows) {
  Matrix x = noise_matrix(40, 33, 9, 1, 40);
  Matrix indices(DType::kI32, 5, 1);
  const int values[] = {39, 0, 7, 7, 20};
  for (int64_t i = 0; i < 5; ++i) indices.set(i, 0, values[i]);
  Matrix out(dtype_, 5, 33);
  ops_.gather_rows(x, indices, out);
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(out.row_bytes(i), x.row_bytes(values[i]));
}

// A table in two parts, as a merged matrix is; and the same weight as a linear layer with a bias.
class WeightTest : public RowsTest {
 protected:
  static constexpr int64_t kCols = 64;
  static constexpr int64_t kRows[2] = {130, 70};

  void SetUp() override {
    for (int p = 0; p < 2; ++p) {
      const int64_t rows = kRows[p];
      std::vector<float> values;
      for (int64_t i = 0; i < rows * kCols; ++i) {
        values.push_back(
            static_cast<float>(noise(static_cast<uint64_t>(p), 11, 0, static_cast<uint64_t>(i))));
      }
      Buffer buffer = *backend_->allocate(*backend_->packed_bytes(WeightFormat::kF32, rows, kCols));
      WeightPart& part = weight_.parts.at(static_cast<size_t>(p));
      part = {WeightFormat::kF32, rows, kCols, buffer.data()};
      // In two calls, as a loader that streams does.
      const auto bytes = std::as_bytes(std::span(values));
      backend_->pack_rows(part, 0, bytes.first(64 * kCols * sizeof(float)));
      backend_->pack_rows(part, 64, bytes.subspan(64 * kCols * sizeof(float)));
      buffers_.push_back(std::move(buffer));
      values_.insert(values_.end(), values.begin(), values.end());
    }
    weight_.num_parts = 2;
  }
  [[nodiscard]] double weight_at(int64_t row, int64_t col) const {
    return static_cast<double>(values_[static_cast<size_t>(row * kCols + col)]);
  }

  Weight weight_;
  std::vector<Buffer> buffers_;
  std::vector<float> values_;
};

TEST_P(WeightTest, Embedding) {
  Matrix ids(DType::kI32, 4, 1);
  const int values[] = {0, 129, 130, 199};
  for (int64_t i = 0; i < 4; ++i) ids.set(i, 0, values[i]);
  Matrix out(dtype_, 4, kCols);
  ops_.embedding(weight_, ids, out);
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t c = 0; c < kCols; ++c) EXPECT_EQ(out.at(i, c), rounded(weight_at(values[i], c)));
  }
}

TEST_P(WeightTest, LinearOverPartsWithBias) {
  Matrix bias = parameters(200, 12);
  for (const int64_t tokens : {1, 3, 40}) {
    Matrix x = noise_matrix(tokens, kCols, 13, 1, kCols + 8);
    for (const bool with_bias : {false, true}) {
      weight_.bias = with_bias ? bias.tensor() : Tensor{};
      Matrix expected(dtype_, tokens, 200);
      Matrix expected_logits(DType::kF32, tokens, 200);
      for (int64_t t = 0; t < tokens; ++t) {
        for (int64_t r = 0; r < 200; ++r) {
          double sum = with_bias ? bias.at(0, r) : 0;
          for (int64_t c = 0; c < kCols; ++c) sum += x.at(t, c) * weight_at(r, c);
          expected.set(t, r, sum);
          expected_logits.set(t, r, sum);
        }
      }
      Matrix out(dtype_, tokens, 200, 208);
      ops_.linear(x, weight_, out);
      expect_close(out, expected, "linear");
      Matrix logits(DType::kF32, tokens, 200);  // F32 out of any arithmetic
      ops_.linear(x, weight_, logits);
      expect_close(logits, expected_logits, "linear to float32");
    }
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const cpu::Isa isa : available_isas()) {
    all.push_back({isa, DType::kBF16});
    all.push_back({isa, DType::kF32});
  }
  return all;
}
const auto kName = [](const auto& c) { return name_of_case(c.param.isa, c.param.dtype); };

INSTANTIATE_TEST_SUITE_P(Cpu, RowsTest, ::testing::ValuesIn(cases()), kName);
INSTANTIATE_TEST_SUITE_P(Cpu, WeightTest, ::testing::ValuesIn(cases()), kName);

}  // namespace
}  // namespace pegainfer::testing

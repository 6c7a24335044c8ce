// The ops that work row by row, each against its twin on the CPU.
#include <fmt/core.h>

#include <numeric>

#include "backend/cuda/machine.h"
#include "ops/matrix.h"

namespace pegainfer::testing {
namespace {

class CudaRowsTest : public CudaTest, public ::testing::WithParamInterface<DType> {
 protected:
  DType dtype_ = GetParam();

  void expect_close(const Matrix& got, const Matrix& expected, const std::string& what) const {
    const Distance d = distance(got, expected);
    EXPECT_TRUE(close_enough(d, dtype_))
        << what << ": nmse " << d.nmse << " p99 " << d.p99 << " worst " << d.worst;
  }
  static void expect_same(const Matrix& got, const Matrix& expected, const std::string& what) {
    for (int64_t r = 0; r < expected.rows(); ++r)
      ASSERT_EQ(got.row_bytes(r), expected.row_bytes(r)) << what << " row " << r;
  }
  Matrix noise_matrix(int64_t rows, int64_t cols, uint64_t seed, double scale = 1, int64_t stride = 0) const {
    Matrix m(dtype_, rows, cols, stride);
    fill_noise(m, seed, scale);
    return m;
  }
  Matrix poisoned(int64_t rows, int64_t cols, int64_t stride = 0) const {
    Matrix m(dtype_, rows, cols, stride);
    m.fill(NAN);
    return m;
  }
  static Matrix parameters(int64_t cols, uint64_t seed) {
    Matrix m(DType::kF32, 1, cols);
    for (int64_t c = 0; c < cols; ++c) m.set(0, c, 1 + 0.5 * noise(seed, 9, 0, static_cast<uint64_t>(c)));
    return m;
  }
  static Matrix column(const std::vector<int>& values) {
    Matrix m(DType::kI32, static_cast<int64_t>(values.size()), 1);
    for (size_t i = 0; i < values.size(); ++i) m.set(static_cast<int64_t>(i), 0, values[i]);
    return m;
  }

  void check_norm(int64_t rows, int64_t cols, int64_t stride, double scale = 3) {
    const std::string what = fmt::format("rms_norm [{}, {}] stride {}", rows, cols, stride);
    Matrix x = noise_matrix(rows, cols, 1, scale, stride);
    Matrix weight = parameters(cols, 2);
    Matrix expected = poisoned(rows, cols);
    Matrix out = poisoned(rows, cols);
    cpu_ops().rms_norm(x, weight, 1e-5F, expected);
    ops().rms_norm(x, weight, 1e-5F, out);
    expect_close(out, expected, what);
    // A row alone gives the same bits.
    Matrix one = poisoned(1, cols, stride);
    ops().rms_norm(x.tensor().slice_rows(rows - 1, 1), weight, 1e-5F, one);
    EXPECT_EQ(one.row_bytes(0), out.row_bytes(rows - 1)) << what;
    ops().rms_norm(x, weight, 1e-5F, x);  // in place
    expect_same(x, out, what + " in place");
  }
};

TEST_P(CudaRowsTest, RmsNorm) {
  for (const int64_t cols : {1, 7, 8, 16, 64, 100, 128, 576, 1024, 1032, 2560, 4099, 5120}) {
    for (const int64_t rows : {1, 3, 33}) {
      check_norm(rows, cols, cols);
      check_norm(rows, cols, (cols + 7) / 8 * 8 + 16);
      check_norm(rows, cols, cols + 5);
    }
  }
  check_norm(3, 16384, 16384);
  check_norm(3, 40000, 40000);
  for (const double scale : {1e-20, 1e-3, 1e4, 1e15}) check_norm(2, 576, 576, scale);
}

TEST_P(CudaRowsTest, RmsNormOfManyRowsLarge) { check_norm(5001, 256, 256); }

TEST_P(CudaRowsTest, AddRoundsTheSum) {
  for (const int64_t cols : {1, 5, 64, 576, 2048}) {
    for (const int64_t stride : {cols, cols + 8, cols + 3}) {
      Matrix x = noise_matrix(9, cols, 1, 30, stride);
      Matrix expected = noise_matrix(9, cols, 1, 30, stride);
      Matrix delta = noise_matrix(9, cols, 2);
      cpu_ops().add(expected, delta);
      ops().add(x, delta);
      expect_same(x, expected, fmt::format("add of {} columns, stride {}", cols, stride));
    }
  }
}

TEST_P(CudaRowsTest, AddOfManyRowsLarge) {
  Matrix x = noise_matrix(3000, 1024, 1, 30);
  Matrix expected = noise_matrix(3000, 1024, 1, 30);
  Matrix delta = noise_matrix(3000, 1024, 2);
  cpu_ops().add(expected, delta);
  ops().add(x, delta);
  expect_same(x, expected, "add");
}

TEST_P(CudaRowsTest, SiluMul) {
  for (const int64_t n : {1, 15, 16, 160, 1536, 9728}) {
    for (const int64_t rows : {1, 5}) {
      Matrix gate_up = noise_matrix(rows, 2 * n, 8, 12);
      Matrix out = poisoned(rows, n, n + 8);
      Matrix expected = poisoned(rows, n);
      ops().silu_mul(gate_up, out);
      cpu_ops().silu_mul(gate_up, expected);
      expect_close(out, expected, fmt::format("silu_mul [{}, {}]", rows, n));
    }
  }
}

TEST_P(CudaRowsTest, SiluOfExtremes) {
  Matrix gate_up(dtype_, 1, 10);
  const double gates[] = {HUGE_VAL, -200, 200, 0, NAN};
  for (int64_t c = 0; c < 5; ++c) {
    gate_up.set(0, c, gates[c]);
    gate_up.set(0, 5 + c, 2);
  }
  Matrix out = poisoned(1, 5);
  ops().silu_mul(gate_up, out);
  EXPECT_EQ(out.at(0, 0), HUGE_VAL);
  EXPECT_EQ(out.at(0, 1), 0);
  EXPECT_EQ(out.at(0, 2), 400);
  EXPECT_EQ(out.at(0, 3), 0);
  EXPECT_TRUE(std::isnan(out.at(0, 4)));
}

TEST_P(CudaRowsTest, TakeTokens) {
  Matrix tokens = column({70, -1, 90});
  Matrix rows = column({-1, 2, 2, -1, 0, 1});
  Matrix ids = column({5, -1, -1, 6, -1, -1});
  ops().take_tokens(tokens, rows, ids);
  const int expected[] = {5, 90, 90, 6, 70, 0};
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(ids.at(i, 0), expected[i]) << i;
}

TEST_P(CudaRowsTest, GatherRows) {
  for (const int64_t cols : {1, 33, 64, 2560}) {
    for (const int64_t stride : {cols, cols + 7, cols + 16}) {
      Matrix x = noise_matrix(40, cols, 9, 1, stride);
      const std::vector<int> values{39, 0, 7, 7, 20};
      Matrix indices = column(values);
      Matrix out = poisoned(5, cols);
      ops().gather_rows(x, indices, out);
      for (int64_t i = 0; i < 5; ++i)
        EXPECT_EQ(out.row_bytes(i), x.row_bytes(values[static_cast<size_t>(i)]));
    }
  }
}

TEST_P(CudaRowsTest, RopeTable) {
  for (const int64_t half : {1, 20, 64}) {
    Matrix positions = column({0, 1, 17, 4095, 40959, 131071, 1000000});
    Matrix inv_freq(DType::kF32, 1, half);
    for (int64_t i = 0; i < half; ++i)
      inv_freq.set(0, i, std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half)));
    for (const float factor : {1.0F, 1.2079F}) {
      Matrix out(DType::kF32, 7, 2 * half);
      Matrix expected(DType::kF32, 7, 2 * half);
      out.fill(NAN);
      ops().rope_table(positions, inv_freq, factor, dtype_, out);
      cpu_ops().rope_table(positions, inv_freq, factor, dtype_, expected);
      for (int64_t r = 0; r < 7; ++r) {
        for (int64_t c = 0; c < 2 * half; ++c) {  // BF16: a last bit of the cosine may tip the rounding
          const double tolerance = dtype_ == DType::kBF16 ? 0.008 * std::abs(expected.at(r, c)) + 1e-7 : 5e-7;
          EXPECT_NEAR(out.at(r, c), expected.at(r, c), tolerance) << r << ", " << c;
        }
      }
      expect_close(out, expected, "rope_table");
    }
  }
}

// Everything that turns heads and stores them, over one qkv tensor.
struct HeadShape {
  int heads;
  int kv_heads;
  int head_dim;
  int rotary_dim;
  bool norm;
};

class CudaHeadsTest : public CudaRowsTest {
 protected:
  static constexpr int64_t kTokens = 11;
  static constexpr int kBlockSize = 16;
  static constexpr int kNumBlocks = 5;
  static constexpr int kLayers = 2;

  struct Setting {
    HeadShape shape;
    Matrix qkv;
    Matrix q_norm, k_norm;
    Matrix table;
    Matrix slots;
    Matrix cache;  // a row a layer
    BatchView batch;

    [[nodiscard]] int64_t q_cols() const { return int64_t{shape.heads} * shape.head_dim; }
    [[nodiscard]] int64_t k_cols() const { return int64_t{shape.kv_heads} * shape.head_dim; }
    Tensor q() { return qkv.tensor().slice_cols(0, q_cols()); }
    Tensor k() { return qkv.tensor().slice_cols(q_cols(), k_cols()); }
    Tensor v() { return qkv.tensor().slice_cols(q_cols() + k_cols(), k_cols()); }
    QkNormRope rope() {
      return {.q_norm = shape.norm ? q_norm.tensor() : Tensor{},
              .k_norm = shape.norm ? k_norm.tensor() : Tensor{},
              .eps = 1e-6F,
              .table = table};
    }
  };

  Setting setting(const HeadShape& s, DType kv_dtype, int64_t extra_stride) const {
    const int64_t cols = int64_t{s.heads + 2 * s.kv_heads} * s.head_dim;
    Setting set{s,
                noise_matrix(kTokens, cols, 4, 2, cols + extra_stride),
                parameters(s.head_dim, 5),
                parameters(s.head_dim, 6),
                Matrix(DType::kF32, kTokens, s.rotary_dim),
                column({0, 15, 16, 17, 79, 33, 64, 48, 2, 0, 0}),  // 0: padding, more than once
                Matrix(kv_dtype, kLayers, int64_t{2} * kNumBlocks * s.kv_heads * kBlockSize * s.head_dim),
                {}};
    fill_noise(set.table, 7);
    for (int64_t r = 0; r < kTokens; ++r) {  // as rope_table leaves them
      for (int64_t c = 0; c < s.rotary_dim; ++c)
        set.table.set(r, c, materialised(set.table.at(r, c), dtype_));
    }
    set.cache.fill(NAN);
    set.batch = {.num_tokens = static_cast<int>(kTokens),
                 .slot_mapping = set.slots,
                 .kv = {.data = static_cast<std::byte*>(set.cache.tensor().data),
                        .dtype = kv_dtype,
                        .num_layers = kLayers,
                        .num_blocks = kNumBlocks,
                        .block_size = kBlockSize,
                        .num_kv_heads = s.kv_heads,
                        .head_dim = s.head_dim}};
    return set;
  }
  // The cache holds k and v of every token whose slot is its own, and NaNs elsewhere.
  static void expect_cache(Setting& set, int layer, const std::string& what) {
    const int64_t d = set.shape.head_dim;
    int64_t written = 0;
    for (int64_t t = 0; t < kTokens; ++t) {
      const auto slot = static_cast<int64_t>(set.slots.at(t));
      if (slot == 0) continue;
      ++written;
      for (int64_t side = 0; side < 2; ++side) {
        for (int64_t c = 0; c < set.k_cols(); ++c) {
          const int64_t head = c / d;
          const int64_t at = (((slot / kBlockSize * 2 + side) * set.shape.kv_heads + head) * kBlockSize +
                              slot % kBlockSize) *
                                 d +
                             c % d;
          const double value = set.qkv.at(t, set.q_cols() + side * set.k_cols() + c);
          ASSERT_EQ(set.cache.at(layer, at), materialised(value, set.cache.dtype()))
              << what << " token " << t << " side " << side << " column " << c;
        }
      }
    }
    int64_t numbers = 0;
    for (int l = 0; l < kLayers; ++l) {
      for (int64_t i = 0; i < set.cache.cols(); ++i) numbers += std::isnan(set.cache.at(l, i)) ? 0 : 1;
    }
    EXPECT_EQ(numbers, (written + 1) * 2 * set.k_cols()) << what;
  }
};

const std::vector<HeadShape> kHeadShapes{
    {9, 3, 64, 64, false},  {4, 2, 32, 32, true},   {5, 1, 80, 32, true},   {2, 2, 128, 64, false},
    {1, 1, 6, 2, true},     {8, 1, 128, 128, true}, {4, 4, 96, 96, true},   {3, 1, 80, 80, true},
    {2, 1, 256, 256, true}, {2, 2, 16, 16, true},   {2, 1, 320, 320, true}, {4, 2, 128, 128, false}};

TEST_P(CudaHeadsTest, QkNormRope) {
  for (const HeadShape& s : kHeadShapes) {
    for (const int64_t extra : {0, 8, 3}) {
      const std::string what =
          fmt::format("{} {} {} {} +{}", s.heads, s.kv_heads, s.head_dim, s.rotary_dim, extra);
      Setting set = setting(s, dtype_, extra);
      Setting twin = setting(s, dtype_, extra);
      const QkNormRope r = set.rope();
      const QkNormRope t = twin.rope();
      ops().qk_norm_rope(set.q(), set.k(), s.head_dim, r.q_norm, r.k_norm, r.eps, r.table);
      cpu_ops().qk_norm_rope(twin.q(), twin.k(), s.head_dim, t.q_norm, t.k_norm, t.eps, t.table);
      expect_close(set.qkv, twin.qkv, what);  // v is as it was
    }
  }
}

TEST_P(CudaHeadsTest, StoreKv) {
  for (const HeadShape& s : kHeadShapes) {
    for (const DType kv : {DType::kBF16, DType::kF32}) {
      Setting set = setting(s, kv, 0);
      ops().store_kv(set.k(), set.v(), 1, set.batch);
      expect_cache(set, 1, fmt::format("store_kv of {} heads of {}", s.kv_heads, s.head_dim));
    }
  }
}

TEST_P(CudaHeadsTest, FusedIsTheSameAsItsParts) {
  for (const HeadShape& s : kHeadShapes) {
    for (const DType kv : {DType::kBF16, DType::kF32}) {
      if (kv != dtype_ && s.head_dim % 16 == 0 && s.rotary_dim == s.head_dim)
        continue;  // another order of sums
      Setting fused = setting(s, kv, 0);
      Setting parts = setting(s, kv, 0);
      const QkNormRope r = parts.rope();
      ops().qk_norm_rope_store(fused.q(), fused.k(), fused.v(), fused.rope(), 0, fused.batch);
      ops().qk_norm_rope(parts.q(), parts.k(), s.head_dim, r.q_norm, r.k_norm, r.eps, r.table);
      expect_same(fused.qkv, parts.qkv, fmt::format("{} {} {}", s.heads, s.kv_heads, s.head_dim));
      expect_cache(fused, 0, "fused");
    }
  }
}

TEST_P(CudaHeadsTest, FusedIntoACacheOfAnotherType) {
  for (const HeadShape& s : kHeadShapes) {
    const DType kv = dtype_ == DType::kBF16 ? DType::kF32 : DType::kBF16;
    Setting set = setting(s, kv, 0);
    Setting twin = setting(s, kv, 0);
    const QkNormRope t = twin.rope();
    ops().qk_norm_rope_store(set.q(), set.k(), set.v(), set.rope(), 0, set.batch);
    cpu_ops().qk_norm_rope(twin.q(), twin.k(), s.head_dim, t.q_norm, t.k_norm, t.eps, t.table);
    expect_close(set.qkv, twin.qkv, "fused");
    expect_cache(set, 0, "fused");
  }
}

// A table in parts of both types; the ids beyond it give no number.
TEST_P(CudaRowsTest, Embedding) {
  for (const int64_t cols : {64, 2560, 33}) {
    Weight table;
    std::vector<Buffer> buffers;
    std::vector<Matrix> values;
    const DType types[] = {DType::kBF16, DType::kF32, DType::kBF16};
    const int64_t rows[] = {13, 7, 5};
    for (size_t i = 0; i < 3; ++i) {
      Matrix m(types[i], rows[i], cols);
      fill_noise(m, 40 + i);
      Buffer buffer = *machine().context->allocate(m.tensor().bytes());
      // On the stream that zeroes the memory: another would not wait for it.
      ASSERT_EQ(cudaMemcpyAsync(buffer.data(), m.tensor().data, m.tensor().bytes(), cudaMemcpyHostToDevice,
                                machine().context->stream()),
                cudaSuccess);
      ASSERT_EQ(cudaStreamSynchronize(machine().context->stream()), cudaSuccess);
      table.parts.at(i) = {types[i] == DType::kBF16 ? WeightFormat::kBF16 : WeightFormat::kF32, rows[i], cols,
                           buffer.data()};
      buffers.push_back(std::move(buffer));
      values.push_back(std::move(m));
    }
    table.num_parts = 3;
    Matrix ids = column({0, 12, 13, 19, 20, 24, 3, 25, -1});
    Matrix out = poisoned(9, cols);
    ops().embedding(table, ids, out);
    for (int64_t t = 0; t < 9; ++t) {
      auto id = static_cast<int64_t>(ids.at(t));
      size_t part = 0;
      while (part < 3 && id >= rows[part]) id -= rows[part++];
      for (int64_t c = 0; c < cols; ++c) {
        if (part == 3 || id < 0) {
          ASSERT_TRUE(std::isnan(out.at(t, c)));
        } else {
          ASSERT_EQ(out.at(t, c), materialised(values[part].at(id, c), dtype_)) << t << ", " << c;
        }
      }
    }
  }
}

TEST_P(CudaRowsTest, NothingToDo) {
  Matrix empty(dtype_, 0, 64);
  Matrix gate_up(dtype_, 0, 128);
  Matrix weight = parameters(64, 1);
  Matrix none(DType::kI32, 0, 1);
  ops().rms_norm(empty, weight, 1e-5F, empty);
  ops().add(empty, empty);
  ops().silu_mul(gate_up, empty);
  ops().gather_rows(empty, none, empty);
  ops().take_tokens(none, none, none);
  EXPECT_TRUE(machine().context->health().has_value());
}

const auto kName = [](const auto& c) { return std::string(c.param == DType::kBF16 ? "bf16" : "f32"); };
INSTANTIATE_TEST_SUITE_P(Cuda, CudaRowsTest, ::testing::Values(DType::kBF16, DType::kF32), kName);
INSTANTIATE_TEST_SUITE_P(Cuda, CudaHeadsTest, ::testing::Values(DType::kBF16, DType::kF32), kName);

}  // namespace
}  // namespace pegainfer::testing

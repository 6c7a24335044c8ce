// Products against the CPU twin over sizes, types and row counts, and what holds bit for bit.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <vector>

#include "backend/cuda/machine.h"
#include "backend/cuda/twin_weight.h"
#include "kernels/cuda/linear/stream_linear.h"
#include "ops/matrix.h"

namespace pegainfer::testing {
namespace {

constexpr float kEps = 1e-6F;

struct Shape {
  int64_t n;
  int64_t cols;
};

// The columns of a wider matrix that an op is to write, everything poisoned before.
class Output {
 public:
  Output(DType dtype, int64_t rows, int64_t cols, int64_t left = 8, int64_t right = 8)
      : wide_(dtype, rows, left + cols + right), left_(left), cols_(cols) {
    wide_.fill(kPoison);
  }
  [[nodiscard]] Tensor tensor() { return wide_.tensor().slice_cols(left_, cols_); }
  void set(const Matrix& values) {
    for (int64_t r = 0; r < values.rows(); ++r) {
      for (int64_t c = 0; c < cols_; ++c) wide_.set(r, left_ + c, values.at(r, c));
    }
  }
  // What was written; nothing beside it may have been.
  [[nodiscard]] Matrix taken() const {
    Matrix out(wide_.dtype(), wide_.rows(), cols_);
    int64_t spilled = 0;
    for (int64_t r = 0; r < wide_.rows(); ++r) {
      for (int64_t c = 0; c < wide_.cols(); ++c) {
        if (c >= left_ && c < left_ + cols_)
          out.set(r, c - left_, wide_.at(r, c));
        else
          spilled += wide_.at(r, c) != kPoison ? 1 : 0;
      }
    }
    EXPECT_EQ(spilled, 0) << "elements beside the output were written";
    return out;
  }

 private:
  static constexpr double kPoison = 12288;  // exact in BF16
  Matrix wide_;
  int64_t left_;
  int64_t cols_;
};

Matrix noise_matrix(DType dtype, int64_t rows, int64_t cols, uint64_t seed, int64_t stride = 0) {
  Matrix m(dtype, rows, cols, stride);
  fill_noise(m, seed, 1.5);
  return m;
}

Matrix norm_weight(int64_t cols) {
  Matrix m(DType::kF32, 1, cols);
  for (int64_t c = 0; c < cols; ++c) m.set(0, c, 1 + 0.3 * noise(3, 9, 0, static_cast<uint64_t>(c)));
  return m;
}

void expect_near(const Matrix& got, const Matrix& expected, const Distance& most, const std::string& what) {
  const Distance d = distance(got, expected);
  EXPECT_TRUE(d.nmse <= most.nmse && d.p99 <= most.p99 && d.worst <= most.worst)
      << what << ": nmse " << d.nmse << " p99 " << d.p99 << " worst " << d.worst;
}

// F32 sums in another order: errors of a random walk of `cols` steps. BF16 on top: a rounding tipped now and
// then.
Distance one_rounding(DType dtype, int64_t cols) {
  const double walk = 4e-7 * std::sqrt(static_cast<double>(cols) + 64);
  if (dtype == DType::kF32) return {walk * walk, 2 * walk, 8 * walk};
  return {1e-6, 1e-2, 4e-2};
}
// Where what is tipped goes through a product, or one rounding stands for two.
constexpr Distance kTwoRoundings{2e-5, 4e-2, 1e-1};

class CudaLinearTest : public CudaTest {
 protected:
  static void expect_linear(const TwinWeight& w, DType x_dtype, DType out_dtype, int64_t rows,
                            int64_t x_gap = 8, int64_t left = 8) {
    const int64_t cols = w.host().cols();
    Matrix x = noise_matrix(x_dtype, rows, cols, 7, cols + x_gap);
    Output got(out_dtype, rows, w.host().rows(), left);
    ops().linear(x, w.device(), got.tensor());
    Matrix expected(out_dtype, rows, w.host().rows());
    cpu_ops().linear(x, w.host(), expected);
    expect_near(got.taken(), expected, one_rounding(out_dtype, cols),
                fmt::format("{} rows, {} x {}, {} to {}", rows, w.host().rows(), cols, name_of(x_dtype),
                            name_of(out_dtype)));
  }
};

constexpr std::array<int64_t, 14> kRowCounts{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100};

TEST_F(CudaLinearTest, Bf16IsTheTwins) {
  for (const Shape s : {Shape{64, 64}, {100, 72}, {576, 576}, {264, 1536}, {1, 8}, {129, 40}}) {
    const TwinWeight w(*machine().context, WeightFormat::kBF16, {s.n}, s.cols);
    for (const int64_t rows : kRowCounts) {
      // Unaligned rows of out are the generic kernel's beyond a few rows.
      expect_linear(w, DType::kBF16, DType::kBF16, rows, 8, s.n % 8 == 0 ? 8 : 3);
      expect_linear(w, DType::kBF16, DType::kF32, rows);
    }
  }
}

TEST_F(CudaLinearTest, OddSizesAndUnalignedRowsAreTheTwins) {
  for (const Shape s : {Shape{37, 45}, {64, 100}, {65, 33}, {7, 1}}) {
    const TwinWeight w(*machine().context, WeightFormat::kBF16, {s.n}, s.cols, true);
    for (const int64_t rows : {1, 5, 16, 17, 70}) expect_linear(w, DType::kBF16, DType::kBF16, rows, 3, 1);
  }
  const TwinWeight w(*machine().context, WeightFormat::kBF16, {72}, 128);
  for (const int64_t rows : {1, 2, 16, 40}) expect_linear(w, DType::kBF16, DType::kBF16, rows, 3, 8);
}

TEST_F(CudaLinearTest, Float32IsTheTwins) {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBF16}) {
    for (const Shape s : {Shape{64, 64}, {100, 99}, {300, 576}}) {
      const TwinWeight w(*machine().context, format, {s.n}, s.cols, true);
      for (const int64_t rows : {1, 3, 16, 33, 70}) expect_linear(w, DType::kF32, DType::kF32, rows);
    }
  }
}

TEST_F(CudaLinearTest, PartsAndBiases) {
  for (const std::vector<int64_t>& parts : {std::vector<int64_t>{64, 24, 24}, {40, 8}, {48}}) {
    for (const bool bias : {false, true}) {
      const TwinWeight w(*machine().context, WeightFormat::kBF16, parts, 160, bias);
      for (const int64_t rows : {1, 4, 9, 16, 17, 33, 64}) {
        expect_linear(w, DType::kBF16, DType::kBF16, rows);
        expect_linear(w, DType::kBF16, DType::kF32, rows);
      }
    }
  }
}

TEST_F(CudaLinearTest, LargeShapesOfRealModels) {
  for (const Shape s : {Shape{6144, 2560}, {2560, 4096}, {2560, 9728}, {1024, 3072}, {2048, 8192}}) {
    const TwinWeight w(*machine().context, WeightFormat::kBF16, {s.n}, s.cols);
    for (const int64_t rows : {1, 8, 16, 64}) expect_linear(w, DType::kBF16, DType::kBF16, rows);
  }
  const TwinWeight w(*machine().context, WeightFormat::kBF16, {1024}, 1024);
  expect_linear(w, DType::kBF16, DType::kBF16, 512);
  expect_linear(w, DType::kBF16, DType::kF32, 512);
}

class CudaLinearGroupsTest : public CudaLinearTest {
 protected:
  static void expect_norm_linear(const TwinWeight& w, int64_t rows) {
    const int64_t cols = w.host().cols();
    Matrix x = noise_matrix(DType::kBF16, rows, cols, 7, cols + 8);
    Matrix norm = norm_weight(cols);
    Matrix h(DType::kBF16, rows, cols);
    Output got(DType::kBF16, rows, w.host().rows());
    ops().norm_linear(x, norm, kEps, w.device(), h, got.tensor());
    Matrix expected(DType::kBF16, rows, w.host().rows());
    cpu_ops().norm_linear(x, norm, kEps, w.host(), h, expected);
    expect_near(got.taken(), expected, kTwoRoundings, fmt::format("{} rows of {}", rows, cols));
  }
  static void expect_linear_add(const TwinWeight& w, DType dtype, int64_t rows, int64_t x_gap = 8) {
    const int64_t cols = w.host().cols();
    const int64_t n = w.host().rows();
    Matrix x = noise_matrix(dtype, rows, cols, 7, cols + x_gap);
    Matrix residual = noise_matrix(dtype, rows, n, 8);
    Matrix delta(dtype, rows, n);
    Output got(dtype, rows, n);
    got.set(residual);
    ops().linear_add(x, w.device(), delta, got.tensor());
    cpu_ops().linear_add(x, w.host(), delta, residual);
    expect_near(got.taken(), residual, dtype == DType::kF32 ? one_rounding(dtype, cols) : kTwoRoundings,
                fmt::format("{} rows of {}", rows, cols));
  }
  static void expect_gated(const TwinWeight& w, int64_t rows) {
    const int64_t cols = w.host().cols();
    const int64_t n = w.host().rows() / 2;
    Matrix x = noise_matrix(DType::kBF16, rows, cols, 7, cols + 8);
    Matrix norm = norm_weight(cols);
    Matrix h(DType::kBF16, rows, cols);
    Matrix gate_up(DType::kBF16, rows, 2 * n);
    Output got(DType::kBF16, rows, n);
    ops().norm_gated_linear(x, norm, kEps, w.device(), h, gate_up, got.tensor());
    Matrix expected(DType::kBF16, rows, n);
    cpu_ops().norm_gated_linear(x, norm, kEps, w.host(), h, gate_up, expected);
    expect_near(got.taken(), expected, kTwoRoundings, fmt::format("{} rows of {}", rows, cols));
  }
};

constexpr std::array<int64_t, 10> kFewRows{1, 2, 3, 4, 5, 7, 8, 9, 15, 16};

TEST_F(CudaLinearGroupsTest, NormLinearOfFewRows) {
  for (const Shape s : {Shape{96, 576}, {100, 72}, {200, 2560}, {30, 4104}}) {
    for (const bool bias : {false, true}) {
      const TwinWeight w(*machine().context, WeightFormat::kBF16, {s.n}, s.cols, bias);
      for (const int64_t rows : kFewRows) expect_norm_linear(w, rows);
    }
  }
  const TwinWeight parts(*machine().context, WeightFormat::kBF16, {64, 24, 24}, 576, true);
  for (const int64_t rows : {1, 3, 16}) expect_norm_linear(parts, rows);
}

TEST_F(CudaLinearGroupsTest, LinearAdd) {
  for (const Shape s : {Shape{64, 96}, {104, 576}, {576, 1536}}) {
    for (const bool bias : {false, true}) {
      const TwinWeight w(*machine().context, WeightFormat::kBF16, {s.n}, s.cols, bias);
      for (const int64_t rows : kRowCounts) expect_linear_add(w, DType::kBF16, rows);
    }
  }
  const TwinWeight odd_few(*machine().context, WeightFormat::kBF16, {57}, 96);
  for (const int64_t rows : {1, 7, 16}) expect_linear_add(odd_few, DType::kBF16, rows);
}

TEST_F(CudaLinearGroupsTest, NormGatedLinearOfFewRows) {
  for (const Shape s : {Shape{48, 64}, {202, 72}, {1152, 576}, {2048, 2560}}) {
    const TwinWeight one(*machine().context, WeightFormat::kBF16, {s.n}, s.cols, s.n == 202);
    const TwinWeight two(*machine().context, WeightFormat::kBF16, {s.n / 2, s.n / 2}, s.cols);
    for (const int64_t rows : kFewRows) {
      expect_gated(one, rows);
      if (rows % 2 == 1) expect_gated(two, rows);
    }
  }
}

// These go through the ops on rows.
TEST_F(CudaLinearGroupsTest, CompositionsOfManyRowsAndOddSizes) {
  const TwinWeight w(*machine().context, WeightFormat::kBF16, {128}, 96, true);
  const TwinWeight odd(*machine().context, WeightFormat::kBF16, {66}, 45, true);
  for (const int64_t rows : {33, 65, 100}) {
    expect_norm_linear(w, rows);
    expect_gated(w, rows);
  }
  for (const int64_t rows : {1, 16, 33}) {
    expect_norm_linear(odd, rows);
    expect_gated(odd, rows);
    expect_linear_add(odd, DType::kBF16, rows, 3);
  }
  const TwinWeight f32(*machine().context, WeightFormat::kF32, {66}, 45, true);
  expect_linear_add(f32, DType::kF32, 5);
}

// Each op of few rows on 16 of them, then on some of these in other batches: the same bits.
TEST_F(CudaLinearGroupsTest, RowsDoNotDependOnTheirBatch) {
  for (const Shape s : {Shape{152, 576}, {304, 2560}, {96, 5000}}) {
    const TwinWeight w(*machine().context, WeightFormat::kBF16, {s.n}, s.cols, true);
    Matrix x = noise_matrix(DType::kBF16, 16, s.cols, 7);
    Matrix norm = norm_weight(s.cols);
    const auto compute = [&](int op, Tensor in, Matrix& out) {
      Matrix h(DType::kBF16, in.rows, s.cols);
      Matrix between(DType::kBF16, in.rows, s.n);
      switch (op) {
        case 0: return ops().linear(in, w.device(), out);
        case 1: return ops().norm_linear(in, norm, kEps, w.device(), h, out);
        case 2: return ops().linear_add(in, w.device(), between, out);
        default: return ops().norm_gated_linear(in, norm, kEps, w.device(), h, between, out);
      }
    };
    for (int op = 0; op < 4; ++op) {
      const int64_t n = op == 3 ? s.n / 2 : s.n;
      Matrix all(DType::kBF16, 16, n);
      compute(op, x, all);
      for (const int64_t rows : {1, 2, 3, 4, 5, 8, 9, 15}) {
        for (const int64_t first : {int64_t{0}, 16 - rows}) {
          Matrix some(DType::kBF16, rows, n);
          compute(op, x.tensor().slice_rows(first, rows), some);
          for (int64_t r = 0; r < rows; ++r)
            ASSERT_EQ(some.row_bytes(r), all.row_bytes(first + r))
                << "op " << op << ", row " << first + r << " of 16 in a batch of " << rows;
        }
      }
    }
  }
}

class DeviceMatrix {
 public:
  DeviceMatrix(CudaContext& context, Matrix& host) : context_(context), host_(host.tensor()) {
    Result<Buffer> buffer = context.allocate(host_.bytes());
    CHECK(buffer.has_value());
    buffer_ = *std::move(buffer);
    copy(buffer_.data(), host_.data, cudaMemcpyHostToDevice);
  }
  [[nodiscard]] Tensor tensor() const {
    return Tensor::of(buffer_.data(), host_.dtype, host_.rows, host_.cols);
  }
  void to_host() { copy(host_.data, buffer_.data(), cudaMemcpyDeviceToHost); }

 private:
  void copy(void* to, const void* from, cudaMemcpyKind kind) {
    CHECK(cudaMemcpyAsync(to, from, host_.bytes(), kind, context_.stream()) == cudaSuccess);
    CHECK(cudaStreamSynchronize(context_.stream()) == cudaSuccess);
  }
  CudaContext& context_;
  Tensor host_;
  Buffer buffer_;
};

TEST_F(CudaLinearTest, EveryRingAndTilingGivesTheSameBits) {
  CudaContext& context = *machine().context;
  const TwinWeight w(context, WeightFormat::kBF16, {5000}, 680);
  for (const int rows : {2, 7, 11, 16}) {
    Matrix x = noise_matrix(DType::kBF16, rows, 680, 7);
    const DeviceMatrix in(context, x);
    std::vector<std::vector<std::byte>> first;
    for (const int stages : {2, 3, 4, 5, 6}) {
      for (const int tiles : {1, 2}) {
        for (const int sms : {132, 17}) {
          Matrix out(DType::kF32, rows, 5000);
          DeviceMatrix result(context, out);
          ASSERT_EQ(cuda::stream_linear({.x = in.tensor().data,
                                         .x_stride = 680,
                                         .rows = rows,
                                         .cols = 680,
                                         .w = w.device().parts[0].data,
                                         .n = 5000,
                                         .out = result.tensor().data,
                                         .out_stride = 5000,
                                         .out_f32 = true},
                                        {.num_sms = sms,
                                         .shared_bytes_per_sm = context.device().shared_bytes_per_sm,
                                         .stages = stages,
                                         .tiles = tiles},
                                        context.stream()),
                    cudaSuccess);
          result.to_host();
          if (first.empty())
            for (int r = 0; r < rows; ++r) first.push_back(out.row_bytes(r));
          for (int r = 0; r < rows; ++r)
            ASSERT_EQ(out.row_bytes(r), first[static_cast<size_t>(r)])
                << stages << " stages, " << tiles << " tiles, " << sms << " SMs, row " << r;
        }
      }
    }
  }
}

// What was seen while warming up is timed, and what is chosen computes the same, for these sizes and others.
TEST_F(CudaLinearTest, ProductsAreRightAfterWarmingUp) {
  const TwinWeight a(*machine().context, WeightFormat::kBF16, {192}, 320);
  const TwinWeight b(*machine().context, WeightFormat::kBF16, {192}, 320, false, 5);
  CudaOps& device_ops = *machine().device_ops;
  device_ops.begin_warm_up();
  CudaContext& context = *machine().context;
  for (const int64_t rows : {33, 48, 100}) {
    Matrix x = noise_matrix(DType::kBF16, rows, 320, 3);
    Matrix out(DType::kBF16, rows, 192);
    const DeviceMatrix dx(context, x);  // stay where they are until the end
    const DeviceMatrix dout(context, out);
    const DeviceMatrix delta(context, out);
    for (const Weight* w : {&a.device(), &b.device()}) device_ops.linear(dx.tensor(), *w, dout.tensor());
    device_ops.linear_add(dx.tensor(), b.device(), delta.tensor(), dout.tensor());
    const Status status = device_ops.end_warm_up();
    ASSERT_TRUE(status.has_value()) << status.error().message;
    device_ops.begin_warm_up();
  }
  ASSERT_TRUE(device_ops.end_warm_up().has_value());
  for (const int64_t rows : {33, 48, 49, 100, 128, 200}) {
    expect_linear(a, DType::kBF16, DType::kBF16, rows);
    expect_linear(b, DType::kBF16, DType::kF32, rows);
  }
}

// A chain of products captured into a graph gives what the ops gave one by one.
TEST_F(CudaLinearTest, CanBeCaptured) {
  CudaContext& context = *machine().context;
  Ops& device_ops = *machine().device_ops;
  const TwinWeight up(context, WeightFormat::kBF16, {320}, 96);
  const TwinWeight down(context, WeightFormat::kBF16, {96}, 320);
  for (const int64_t rows : {1, 16, 32, 40}) {
    Matrix x = noise_matrix(DType::kBF16, rows, 96, 7);
    Matrix h(DType::kBF16, rows, 320);
    Matrix delta(DType::kBF16, rows, 96);
    DeviceMatrix dx(context, x);
    const DeviceMatrix dh(context, h);
    const DeviceMatrix dd(context, delta);
    const auto chain = [&] {
      for (int i = 0; i < 3; ++i) {
        device_ops.linear(dx.tensor(), up.device(), dh.tensor());
        device_ops.linear_add(dh.tensor(), down.device(), dd.tensor(), dx.tensor());
      }
    };
    chain();
    dx.to_host();
    const Matrix expected = x;
    Matrix fresh = noise_matrix(DType::kBF16, rows, 96, 7);
    const DeviceMatrix again(context, fresh);
    ASSERT_EQ(cudaMemcpyAsync(dx.tensor().data, again.tensor().data, x.tensor().bytes(),
                              cudaMemcpyDeviceToDevice, context.stream()),
              cudaSuccess);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    ASSERT_EQ(cudaStreamBeginCapture(context.stream(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
    chain();
    ASSERT_EQ(cudaStreamEndCapture(context.stream(), &graph), cudaSuccess);
    ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    ASSERT_EQ(cudaGraphLaunch(executable, context.stream()), cudaSuccess);
    dx.to_host();
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    for (int64_t r = 0; r < rows; ++r) ASSERT_EQ(x.row_bytes(r), expected.row_bytes(r)) << "row " << r;
    ASSERT_TRUE(context.health().has_value()) << context.health().error().message;
  }
}

TEST_F(CudaLinearTest, NoRowsIsNoWork) {
  const TwinWeight w(*machine().context, WeightFormat::kBF16, {64}, 64);
  Matrix x(DType::kBF16, 0, 64);
  Matrix out(DType::kBF16, 0, 64);
  ops().linear(x, w.device(), out);
  SUCCEED();
}

}  // namespace
}  // namespace pegainfer::testing

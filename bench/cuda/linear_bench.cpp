// The products of a step of Qwen3-4B, all 36 layers and the head, as one CUDA graph, by number of rows;
// beside the ceilings of the same card in the same run and what cuBLASLt alone takes.
//
//   cuda_linear_bench [chain] [shapes] [rings]      (all of them)
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/cuda/cublas_linear.h"
#include "backend/cuda/cuda_ops.h"
#include "base/check.h"
#include "card.h"
#include "kernels/cuda/linear/stream_linear.h"

namespace pegainfer {
namespace {

constexpr int kLayers = 36;
constexpr int64_t kHidden = 2560;
constexpr int64_t kHeads = 4096;  // query heads' columns
constexpr int64_t kQkv = 6144;
constexpr int64_t kFfn = 9728;
constexpr int64_t kVocab = 151936;
constexpr int kMaxRows = 512;

void check(cudaError_t error) { CHECK(error == cudaSuccess, "{}", cudaGetErrorString(error)); }

class Bench {
 public:
  Bench() {
    Result<std::unique_ptr<CudaContext>> context = CudaContext::create(0);
    CHECK(context.has_value(), "{}", context.error().message);
    context_ = *std::move(context);
    Result<std::unique_ptr<CudaOps>> ops = CudaOps::create(*context_);
    CHECK(ops.has_value(), "{}", ops.error().message);
    ops_ = *std::move(ops);
    Result<std::unique_ptr<CublasLinear>> cublas = CublasLinear::create(*context_);
    CHECK(cublas.has_value(), "{}", cublas.error().message);
    cublas_ = *std::move(cublas);
    workspace_ = allocate(kLinearScratchBytes).data();
    for (int i = 0; i < kLayers; ++i) {
      qkv_.push_back(weight(kQkv, kHidden));
      o_.push_back(weight(kHidden, kHeads));
      gate_up_.push_back(weight(2 * kFfn, kHidden));
      down_.push_back(weight(kHidden, kFfn));
    }
    head_.push_back(weight(kVocab, kHidden));
    residual_ = activations(kHidden);
    hidden_ = activations(kHidden);
    delta_ = activations(kHidden);
    qkv_out_ = activations(kQkv);
    ffn_ = activations(2 * kFfn);
    gated_ = activations(kFfn);
    logits_ = Tensor::of(allocate(static_cast<size_t>(128 * kVocab) * 4).data(), DType::kF32, 128, kVocab);
    norm_ = Tensor::of(allocate(kHidden * 4).data(), DType::kF32, 1, kHidden);
  }

  void run(const std::vector<std::string>& what) {
    const auto wanted = [&](const char* name) {
      return what.empty() || std::ranges::find(what, name) != what.end();
    };
    ceilings();
    if (wanted("chain")) chains();
    if (wanted("shapes")) shapes();
    if (wanted("rings")) rings();
  }

 private:
  using Weights = std::vector<Weight>;

  std::span<std::byte> allocate(size_t bytes) {
    Result<Buffer> buffer = context_->allocate(bytes);
    CHECK(buffer.has_value(), "{}", buffer.error().message);
    buffers_.push_back(*std::move(buffer));
    return buffers_.back().bytes();
  }
  std::byte* noise(int64_t elements, float scale) {
    const std::span<std::byte> memory = allocate(static_cast<size_t>(elements) * 2);
    check(
        bench::fill_noise(memory.data(), static_cast<size_t>(elements), ++seed_, scale, context_->stream()));
    return memory.data();
  }
  Weight weight(int64_t rows, int64_t cols) {
    Weight w;
    w.num_parts = 1;
    w.parts[0] = {WeightFormat::kBF16, rows, cols, noise(rows * cols, 0.03F)};
    weight_bytes_ += static_cast<double>(rows * cols) * 2;
    return w;
  }
  Tensor activations(int64_t cols) {
    return Tensor::of(noise(kMaxRows * cols, 1), DType::kBF16, kMaxRows, cols);
  }

  // Median milliseconds of a graph of what `enqueue` enqueues.
  float time(const std::function<void()>& enqueue, int repeats = 21) {
    cudaStream_t stream = context_->stream();
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    enqueue();
    check(cudaStreamEndCapture(stream, &graph));
    check(cudaGraphInstantiate(&executable, graph, 0));
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
    check(cudaEventCreate(&begin));
    check(cudaEventCreate(&end));
    std::vector<float> times;
    for (int i = 0; i < repeats + 2; ++i) {
      check(cudaEventRecord(begin, stream));
      check(cudaGraphLaunch(executable, stream));
      check(cudaEventRecord(end, stream));
      check(cudaEventSynchronize(end));
      float ms = 0;
      check(cudaEventElapsedTime(&ms, begin, end));
      if (i >= 2) times.push_back(ms);
    }
    cudaGraphExecDestroy(executable);
    cudaGraphDestroy(graph);
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    CHECK(context_->health().has_value(), "{}", context_->health().error().message);
    std::ranges::sort(times);
    return times[times.size() / 2];
  }

  void ceilings() {
    const CudaDevice& device = context_->device();
    const size_t bytes = size_t{6} << 30U;
    const std::span<std::byte> memory = allocate(bytes);
    std::byte* sink = allocate(256).data();
    float best = 1e9F;
    for (const int blocks : {2, 4, 8, 16}) {
      best = std::min(
          best, time([&] {
            check(bench::read_all(memory.data(), bytes, device.num_sms * blocks, sink, context_->stream()));
          }));
    }
    read_ = static_cast<double>(bytes) / best / 1e6;
    constexpr int64_t kSize = 8192;
    const CublasOperands operands{
        .x = noise(kSize * kSize, 1), .w = noise(kSize * kSize, 0.03F), .out = noise(kSize * kSize, 1)};
    const CublasProblem problem{
        .rows = kSize, .n = kSize, .cols = kSize, .x_stride = kSize, .out_stride = kSize};
    cublas_->watch();
    check(cublas_->run(problem, operands, workspace_));
    CHECK(cublas_->tune(workspace_).has_value());
    const float ms = time([&] { check(cublas_->run(problem, operands, workspace_)); }, 9);
    product_ = 2e-9 * kSize * kSize * kSize / static_cast<double>(ms);
    fmt::print(
        "{}: read ceiling {:.0f} GB/s, product 8192^3 {:.0f} TFLOP/s; weights {:.3f} GB, floor {:.3f} ms\n",
        device.name, read_, product_, weight_bytes_ / 1e9, weight_bytes_ / read_ / 1e6);
  }

  // The four groups of a layer, and the head.
  void groups(int64_t rows) {
    const auto top = [&](Tensor t) { return t.slice_rows(0, rows); };
    for (size_t i = 0; i < kLayers; ++i) {
      ops_->norm_linear(top(residual_), norm_, 1e-6F, qkv_[i], top(hidden_), top(qkv_out_));
      ops_->linear_add(top(qkv_out_).slice_cols(0, kHeads), o_[i], top(delta_), top(residual_));
      ops_->norm_gated_linear(top(residual_), norm_, 1e-6F, gate_up_[i], top(hidden_), top(ffn_),
                              top(gated_));
      ops_->linear_add(top(gated_), down_[i], top(delta_), top(residual_));
    }
    ops_->linear(top(residual_), head_[0], logits_.slice_rows(0, std::min<int64_t>(rows, 128)));
  }
  [[nodiscard]] cuda::StreamDevice device(int stages, int tiles) const {
    return {.num_sms = context_->device().num_sms,
            .shared_bytes_per_sm = context_->device().shared_bytes_per_sm,
            .stages = stages,
            .tiles = tiles};
  }
  using Product = std::function<void(Tensor x, const Weight& w, Tensor out)>;
  void products(int64_t rows, const Product& product) {
    const auto top = [&](Tensor t) { return t.slice_rows(0, rows); };
    for (size_t i = 0; i < kLayers; ++i) {
      product(top(residual_), qkv_[i], top(qkv_out_));
      product(top(qkv_out_).slice_cols(0, kHeads), o_[i], top(hidden_));
      product(top(hidden_), gate_up_[i], top(ffn_));
      product(top(ffn_).slice_cols(0, kFfn), down_[i], top(residual_));
    }
    const int64_t logits = std::min<int64_t>(rows, 128);
    product(residual_.slice_rows(0, logits), head_[0], logits_.slice_rows(0, logits));
  }

  static CublasProblem problem_of(Tensor x, const Weight& w, Tensor out) {
    return {.rows = x.rows,
            .n = w.rows(),
            .cols = w.cols(),
            .x_stride = x.row_stride,
            .out_stride = out.row_stride,
            .out_f32 = out.dtype == DType::kF32};
  }
  void library(Tensor x, const Weight& w, Tensor out) {
    check(cublas_->run(problem_of(x, w, out), {.x = x.data, .w = w.parts[0].data, .out = out.data},
                       workspace_));
  }
  void stream(Tensor x, const Weight& w, Tensor out, int stages, int tiles) {
    check(cuda::stream_linear({.x = x.data,
                               .x_stride = x.row_stride,
                               .rows = static_cast<int>(x.rows),
                               .cols = static_cast<int>(w.cols()),
                               .w = w.parts[0].data,
                               .n = static_cast<int>(w.rows()),
                               .out = out.data,
                               .out_stride = out.row_stride,
                               .out_f32 = out.dtype == DType::kF32},
                              device(stages, tiles), context_->stream()));
  }

  // As the engine does before it captures steps of `rows` rows: the ops' own library is tuned.
  void warm_up(int64_t rows) {
    ops_->begin_warm_up();
    groups(CublasLinear::class_of(rows));
    CHECK(ops_->end_warm_up().has_value());
  }

  // Tunes the library for `rows` over all layers' weights; the default is what the heuristic says.
  void tune(int64_t rows) {
    const auto one = [&](Tensor x, const Weights& weights, Tensor out) {
      x.rows = out.rows = CublasLinear::class_of(rows);
      for (const Weight& w : weights)
        check(cublas_->run(problem_of(x, w, out), {.x = x.data, .w = w.parts[0].data, .out = out.data},
                           workspace_));
    };
    cublas_->watch();
    one(residual_, qkv_, qkv_out_);
    one(qkv_out_.slice_cols(0, kHeads), o_, hidden_);
    one(hidden_, gate_up_, ffn_);
    one(ffn_.slice_cols(0, kFfn), down_, residual_);
    if (rows <= 128) one(residual_, head_, logits_);
    CHECK(cublas_->tune(workspace_).has_value());
  }

  [[nodiscard]] std::string share(double ms, int64_t rows) const {
    const double flops = weight_bytes_ * static_cast<double>(rows);  // two a weight, two bytes a weight
    const double floor = std::max(weight_bytes_ / read_ / 1e6, flops / product_ / 1e9);
    return fmt::format("{:7.3f} ms {:5.1f} %", ms, 100 * floor / ms);
  }

  void chains() {
    fmt::print("36 layers and head; share of max(bytes / read ceiling, operations / product ceiling)\n");
    fmt::print("{:>5} {:>22} {:>20} {:>20} {:>20}\n", "rows", "norm, gate, residual", "products alone",
               "library, guess", "library, timed");
    for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 24, 32, 48, 64, 96, 128, 512}) {
      std::string line = fmt::format("{:5}", rows);
      const bool few = rows <= cuda::kMaxStreamRows;
      const auto streamed = [&](Tensor x, const Weight& w, Tensor out) { stream(x, w, out, 0, 0); };
      if (!few) warm_up(rows);
      line += fmt::format(" {:>22} {:>20}", share(time([&] { groups(rows); }), rows),
                          few ? share(time([&] { products(rows, streamed); }), rows) : "");
      if (rows == 1 || !few) {
        const Product product = [&](Tensor x, const Weight& w, Tensor out) { library(x, w, out); };
        Result<std::unique_ptr<CublasLinear>> fresh = CublasLinear::create(*context_);
        CHECK(fresh.has_value());
        std::swap(cublas_, *fresh);
        line += fmt::format(" {:>20}", share(time([&] { products(rows, product); }, 9), rows));
        std::swap(cublas_, *fresh);
        const auto before = std::chrono::steady_clock::now();
        tune(rows);
        const std::chrono::duration<double, std::milli> tuned = std::chrono::steady_clock::now() - before;
        line += fmt::format(" {:>20}", share(time([&] { products(rows, product); }, 9), rows));
        line += fmt::format(" (search {:.0f} ms)", tuned.count());
      }
      fmt::print("{}\n", line);
      std::fflush(stdout);
    }
  }

  struct Shape {
    const char* name;
    const Weights* weights;
    Tensor x, out;
  };
  [[nodiscard]] std::vector<Shape> all_shapes() const {
    return {{"qkv", &qkv_, residual_, qkv_out_},
            {"o", &o_, qkv_out_.slice_cols(0, kHeads), hidden_},
            {"gate_up", &gate_up_, hidden_, ffn_},
            {"down", &down_, ffn_.slice_cols(0, kFfn), residual_},
            {"head", &head_, residual_, logits_}};
  }
  void print_rate(const Shape& s, float ms) const {
    const double us = static_cast<double>(ms) * 1e3 / static_cast<double>(s.weights->size());
    const double bytes = static_cast<double>(s.weights->at(0).rows() * s.weights->at(0).cols()) * 2;
    fmt::print(" {:8.2f} us {:5.1f} %", us, 100 * bytes / us / 1e3 / read_);
  }
  void shapes() {
    fmt::print("one shape after another layer's: us a product, share of the read ceiling\n");
    for (const Shape& s : all_shapes()) {
      for (const int64_t rows : {1, 16, 32, 64}) {
        fmt::print("{:>8} {:3}", s.name, rows);
        if (rows <= cuda::kMaxStreamRows)
          print_rate(s, time([&] {
                       for (const Weight& w : *s.weights)
                         stream(s.x.slice_rows(0, rows), w, s.out.slice_rows(0, rows), 0, 0);
                     }));
        fmt::print("  library");
        print_rate(s, time([&] {
                     for (const Weight& w : *s.weights)
                       library(s.x.slice_rows(0, rows), w, s.out.slice_rows(0, rows));
                   }));
        fmt::print("\n");
      }
    }
  }

  // The chain of products by depth of the rings and tiles computed together (0: by shape).
  void rings() {
    for (const int64_t rows : {1, 8, 16}) {
      for (const int stages : {2, 4, 5, 6}) {
        fmt::print("rows {:2} ring {:2}:", rows, stages);
        for (const int tiles : {1, 2}) {
          const float ms = time(
              [&] {
                products(rows,
                         [&](Tensor x, const Weight& w, Tensor out) { stream(x, w, out, stages, tiles); });
              },
              11);
          fmt::print("  {} tiles {}", tiles, share(ms, rows));
        }
        fmt::print("\n");
      }
    }
  }

  std::unique_ptr<CudaContext> context_;
  std::unique_ptr<CudaOps> ops_;
  std::unique_ptr<CublasLinear> cublas_;
  std::vector<Buffer> buffers_;
  std::byte* workspace_ = nullptr;
  Weights qkv_, o_, gate_up_, down_, head_;
  Tensor residual_, hidden_, delta_, qkv_out_, ffn_, gated_, logits_, norm_;
  double weight_bytes_ = 0;
  double read_ = 0;     // GB/s
  double product_ = 0;  // TFLOP/s
  unsigned seed_ = 0;
};

}  // namespace
}  // namespace pegainfer

int main(int argc, char** argv) {
  pegainfer::Bench().run(std::vector<std::string>(argv + 1, argv + argc));
  return 0;
}

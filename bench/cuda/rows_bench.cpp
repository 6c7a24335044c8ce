// Row-wise ops, sampling and weight conversion: microseconds beside the bytes they move, and those beside the
// bandwidth of a plain copy in the same run.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "backend/cuda/cuda_ops.h"
#include "kernels/cuda/quant/dequantize.h"
#include "rows_fill.h"

namespace pegainfer {
namespace {

void check(cudaError_t error) {
  if (error == cudaSuccess) return;
  std::printf("%s\n", cudaGetErrorString(error));
  std::exit(1);
}

class Bench {
 public:
  Bench() : context_(*CudaContext::create(0)), ops_(*CudaOps::create(*context_)) {
    const CudaDevice& d = context_->device();
    std::printf("%s, sm_%d%d, %d SMs\n", d.name.c_str(), d.major, d.minor, d.num_sms);
    memory_ = *context_->allocate(kBytes);
    indices_ = *context_->allocate(size_t{1} << 20U);
    bench_fill_bf16(memory_.data(), kBytes / 2, context_->stream());
    check(cudaStreamSynchronize(context_->stream()));
  }
  Ops& ops() { return *ops_; }
  cudaStream_t stream() { return context_->stream(); }

  // Tensors of one op, behind each other in a slot of `bytes` that differs from launch to launch.
  void start_slot(int launch, size_t bytes) {
    const size_t slots = std::max<size_t>(1, std::min<size_t>(64, kBytes / 2 / bytes));
    used_ = (static_cast<size_t>(launch) % slots) * ((bytes + 4095) / 4096 * 4096);
  }
  Tensor make(DType dtype, int64_t rows, int64_t cols) {
    Tensor t = Tensor::of(memory_.data() + used_, dtype, rows, cols);
    used_ += (t.bytes() + 255) / 256 * 256;
    return t;
  }
  Tensor column(DType dtype, int64_t rows, double value, int64_t step = 0) {
    Tensor t = Tensor::of(indices_.data() + indices_used_, dtype, rows, 1);
    indices_used_ += (t.bytes() + 255) / 256 * 256;
    std::vector<std::byte> host(t.bytes());
    for (int64_t r = 0; r < rows; ++r) {
      const auto i = static_cast<size_t>(r);
      const double v = value + static_cast<double>(r * step);
      if (dtype == DType::kF32) reinterpret_cast<float*>(host.data())[i] = static_cast<float>(v);
      if (dtype == DType::kI32) reinterpret_cast<int32_t*>(host.data())[i] = static_cast<int32_t>(v);
      if (dtype == DType::kI64) reinterpret_cast<int64_t*>(host.data())[i] = static_cast<int64_t>(v);
    }
    check(cudaMemcpy(t.data, host.data(), host.size(), cudaMemcpyHostToDevice));
    return t;
  }
  void free_columns() { indices_used_ = 0; }

  // Microseconds of one call: the median over replays of a graph of several.
  double measure(const std::function<void(int)>& call, int calls = 16) {
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < calls; ++i) call(i);
    check(cudaStreamEndCapture(stream(), &graph));
    check(cudaGraphInstantiate(&exec, graph, 0));
    cudaEvent_t begin, end;
    check(cudaEventCreate(&begin));
    check(cudaEventCreate(&end));
    std::vector<float> times;
    for (int i = 0; i < 23; ++i) {
      check(cudaEventRecord(begin, stream()));
      check(cudaGraphLaunch(exec, stream()));
      check(cudaEventRecord(end, stream()));
      check(cudaEventSynchronize(end));
      float ms = 0;
      check(cudaEventElapsedTime(&ms, begin, end));
      if (i >= 3) times.push_back(ms);
    }
    check(cudaGraphExecDestroy(exec));
    check(cudaGraphDestroy(graph));
    std::sort(times.begin(), times.end());
    return static_cast<double>(times[times.size() / 2]) * 1e3 / calls;
  }
  void report(const std::string& what, double us, double bytes) {
    const double rate = bytes / us * 1e-3;
    std::printf("%-44s %9.2f us %8.0f GB/s %5.1f %%\n", what.c_str(), us, rate, 100 * rate / ceiling_);
  }
  void ceilings() {
    const int64_t n = kBytes / 2 / 16;
    const std::byte* from = memory_.data();
    std::byte* to = memory_.data() + kBytes / 2;
    const double copied = measure([&](int) { bench_copy(from, to, n, stream()); }, 1);
    const double read = measure([&](int) { bench_read(from, to, n, stream()); }, 1);
    ceiling_ = static_cast<double>(kBytes) / copied * 1e-3;
    std::printf("copy %.0f GB/s (the 100 %% below), read %.0f GB/s\n", ceiling_,
                static_cast<double>(kBytes / 2) / read * 1e-3);
  }
  std::byte* memory() { return memory_.data(); }
  static constexpr size_t kBytes = size_t{8} << 30U;

 private:
  std::unique_ptr<CudaContext> context_;
  std::unique_ptr<CudaOps> ops_;
  Buffer memory_;
  Buffer indices_;
  size_t used_ = 0;
  size_t indices_used_ = 0;
  double ceiling_ = 1;
};

constexpr DType kBF16 = DType::kBF16;

void rows(Bench& b, int64_t tokens, int64_t hidden, int64_t inner, int heads, int kv_heads) {
  const int64_t d = 128;
  Tensor weight = b.column(DType::kF32, hidden, 1);
  weight = Tensor::of(weight.data, DType::kF32, 1, hidden);
  Tensor norm = b.column(DType::kF32, d, 1);
  norm = Tensor::of(norm.data, DType::kF32, 1, d);
  const auto name = [&](const char* op, int64_t cols) {
    return std::string(op) + " [" + std::to_string(tokens) + ", " + std::to_string(cols) + "]";
  };
  const auto t = static_cast<double>(tokens);
  const auto h = static_cast<double>(hidden);
  double us = b.measure([&](int i) {
    b.start_slot(i, static_cast<size_t>(tokens * hidden) * 4);
    const Tensor x = b.make(kBF16, tokens, hidden);
    b.ops().rms_norm(x, weight, 1e-6F, b.make(kBF16, tokens, hidden));
  });
  b.report(name("rms_norm", hidden), us, 4 * t * h);
  us = b.measure([&](int i) {
    b.start_slot(i, static_cast<size_t>(tokens * hidden) * 4);
    const Tensor x = b.make(kBF16, tokens, hidden);
    b.ops().add(x, b.make(kBF16, tokens, hidden));
  });
  b.report(name("add", hidden), us, 6 * t * h);
  us = b.measure([&](int i) {
    b.start_slot(i, static_cast<size_t>(tokens * inner) * 6);
    const Tensor x = b.make(kBF16, tokens, 2 * inner);
    b.ops().silu_mul(x, b.make(kBF16, tokens, inner));
  });
  b.report(name("silu_mul", inner), us, 6 * t * static_cast<double>(inner));

  const Tensor slots = b.column(DType::kI32, tokens, 16, 1);
  const int64_t qkv_cols = (heads + 2 * kv_heads) * d;
  us = b.measure([&](int i) {
    b.start_slot(i,
                 static_cast<size_t>(tokens) * static_cast<size_t>(2 * qkv_cols + 4 * d + 4 * kv_heads * d) +
                     (1 << 20));
    const Tensor qkv = b.make(kBF16, tokens, qkv_cols);
    const Tensor table = b.make(DType::kF32, tokens, d);
    const Tensor cache = b.make(kBF16, tokens + 32, 2 * kv_heads * d);
    const BatchView batch{.num_tokens = static_cast<int>(tokens),
                          .slot_mapping = slots,
                          .kv = {.data = static_cast<std::byte*>(cache.data),
                                 .dtype = kBF16,
                                 .num_layers = 1,
                                 .num_blocks = static_cast<int>(tokens / 16 + 2),
                                 .block_size = 16,
                                 .num_kv_heads = kv_heads,
                                 .head_dim = static_cast<int>(d)}};
    b.ops().qk_norm_rope_store(qkv.slice_cols(0, heads * d), qkv.slice_cols(heads * d, kv_heads * d),
                               qkv.slice_cols((heads + kv_heads) * d, kv_heads * d),
                               {.q_norm = norm, .k_norm = norm, .eps = 1e-6F, .table = table}, 0, batch);
  });
  // q and k twice, v once, the table, k and v into the cache.
  b.report(name("qk_norm_rope_store", qkv_cols), us,
           t * static_cast<double>(d) * (2 * (2 * heads + 2 * kv_heads + kv_heads + 2 * kv_heads) + 4));
  const Tensor positions = b.column(DType::kI32, tokens, 1000, 1);
  us = b.measure([&](int i) {
    b.start_slot(i, static_cast<size_t>(tokens * d) * 4);
    b.ops().rope_table(positions, Tensor::of(norm.data, DType::kF32, 1, d / 2), 1, kBF16,
                       b.make(DType::kF32, tokens, d));
  });
  b.report(name("rope_table", d), us, t * 4 * static_cast<double>(d));
  WeightPart part{WeightFormat::kBF16, 151936, hidden, b.memory() + Bench::kBytes / 2};
  Weight table;
  table.parts[0] = part;
  table.num_parts = 1;
  const Tensor ids = b.column(DType::kI32, tokens, 5, 17);
  us = b.measure([&](int i) {
    b.start_slot(i, static_cast<size_t>(tokens * hidden) * 2);
    b.ops().embedding(table, ids, b.make(kBF16, tokens, hidden));
  });
  b.report(name("embedding", hidden), us, 4 * t * h);
  b.free_columns();
}

struct SampleCase {
  const char* name;
  double temperature, top_k, top_p, min_p;
};

void sampling(Bench& b, int64_t rows, int64_t vocab, bool peaks, const std::vector<SampleCase>& cases) {
  const size_t row_bytes = static_cast<size_t>(vocab) * 4;
  const Tensor seed = b.column(DType::kI64, rows, 1, 7);
  const Tensor position = b.column(DType::kI64, rows, 100, 1);
  const Tensor out = b.column(DType::kI32, rows, 0);
  const auto logits = [&](int i) {
    b.start_slot(i, static_cast<size_t>(rows) * row_bytes);
    return b.make(DType::kF32, rows, vocab);
  };
  const auto bytes = static_cast<double>(rows) * static_cast<double>(row_bytes);
  for (const SampleCase& c : cases) {
    const SamplerView view{b.column(DType::kF32, rows, c.temperature),
                           b.column(DType::kI32, rows, c.top_k),
                           b.column(DType::kF32, rows, c.top_p),
                           b.column(DType::kF32, rows, c.min_p),
                           seed,
                           position};
    const double us = b.measure([&](int i) { b.ops().sample(logits(i), view, out); });
    b.report(std::string("sample ") + c.name + (peaks ? "" : " flat") + ", " + std::to_string(rows), us,
             bytes);
  }
  if (peaks) {
    for (const int top_n : {0, 20}) {
      const Tensor ids = b.column(DType::kI32, rows * 20, 0);
      const Tensor tops = b.column(DType::kF32, rows * 20, 0);
      const Tensor chosen = b.column(DType::kF32, rows, 0);
      const double us = b.measure([&](int i) {
        b.ops().logprobs(logits(i), position, top_n, chosen, Tensor::of(ids.data, DType::kI32, rows, top_n),
                         Tensor::of(tops.data, DType::kF32, rows, top_n));
      });
      b.report("logprobs top " + std::to_string(top_n) + ", " + std::to_string(rows), us, bytes);
    }
  }
  b.free_columns();
}

// What becomes of logits before they are sampled: `entries` tokens of a row that are biased or have been
// said, and a mask that every row has. A token is a sector of 32 bytes, read and written, however few of it
// are its own.
void edits(Bench& b, int64_t rows, int64_t vocab, int64_t entries) {
  constexpr double kSectors = 64;
  const auto logits = [&](int i) {
    b.start_slot(i, static_cast<size_t>(rows * vocab) * 4);
    return b.make(DType::kF32, rows, vocab);
  };
  const std::string tail = ", " + std::to_string(rows);
  const Tensor begin = b.column(DType::kI32, rows + 1, 0, entries);
  const Tensor ids = b.column(DType::kI32, rows * entries, 0, vocab / (rows * entries));
  const double moved = static_cast<double>(rows * entries) * (8 + kSectors);
  const Tensor values = b.column(DType::kF32, rows * entries, 0.25);
  const LogitEditsView adds{begin, ids, values};
  b.report("add_logits " + std::to_string(entries) + tail,
           b.measure([&](int i) { b.ops().add_logits(logits(i), adds); }), moved);
  const Tensor counts = b.column(DType::kI32, rows * entries, 1);
  const PenaltyView penalties{begin,
                              ids,
                              counts,
                              b.column(DType::kF32, rows, 1.1),
                              b.column(DType::kF32, rows, 0.1),
                              b.column(DType::kF32, rows, 0.1)};
  b.report("penalties " + std::to_string(entries) + tail,
           b.measure([&](int i) { b.ops().apply_penalties(logits(i), penalties); }), moved);
  const int64_t words = (vocab + 31) / 32;
  const Tensor all = b.column(DType::kI32, words, 0);
  const MaskView mask{b.column(DType::kI32, rows, 0), Tensor::of(all.data, DType::kI32, 1, words)};
  b.report("mask_logits, all forbidden" + tail,
           b.measure([&](int i) { b.ops().mask_logits(logits(i), mask); }),
           static_cast<double>(rows * vocab) * 4);
  b.free_columns();
}

void conversion(Bench& b, WeightFormat format) {
  constexpr int64_t kRows = 4096;
  constexpr int64_t kCols = 4096;
  const WeightFormatInfo& info = info_of(format);
  const auto from = static_cast<int64_t>(kRows * row_bytes(format, kCols));
  const auto to = static_cast<int64_t>(cuda_packed_bytes(format, kRows, kCols).value_or(0));
  const double us = b.measure([&](int i) {
    b.start_slot(i, static_cast<size_t>(from + to) + 8192);
    const Tensor blocks = b.make(DType::kF32, 1, from / 4);
    const Tensor out = b.make(DType::kF32, 1, to / 4);
    check(cuda::dequantize(format, blocks.data, kRows, kCols, out.data, b.stream()));
  });
  b.report("dequantize " + std::string(info.name) + " [4096, 4096]", us, static_cast<double>(from + to));
}

int run() {
  Bench b;
  b.ceilings();
  for (const int64_t tokens : {1, 16, 256, 8192}) rows(b, tokens, 2560, 9728, 32, 8);
  for (const WeightFormatInfo& info : kWeightFormats) {
    if (is_quantized(info.format)) conversion(b, info.format);
  }
  const std::vector<SampleCase> cases{{"greedy", 0, 0, 1, 0},        {"plain", 1, 0, 1, 0},
                                      {"top_k 50", 1, 50, 1, 0},     {"top_p 0.9", 0.8, 0, 0.9, 0},
                                      {"min_p 0.05", 1, 0, 1, 0.05}, {"0.6/20/0.95", 0.6, 20, 0.95, 0}};
  auto* logits = reinterpret_cast<float*>(b.memory());
  for (const int64_t r : {1, 16, 64}) edits(b, r, 151936, 1024);
  for (const bool peaks : {true, false}) {
    bench_fill_logits(logits, Bench::kBytes / 8, peaks, b.stream());
    for (const int64_t r : {1, 5, 16, 64, 256})
      sampling(b, r, 151936, peaks, peaks ? cases : std::vector(cases.begin() + 2, cases.begin() + 4));
  }
  check(cudaStreamSynchronize(b.stream()));
  return 0;
}

}  // namespace
}  // namespace pegainfer

int main() { return pegainfer::run(); }

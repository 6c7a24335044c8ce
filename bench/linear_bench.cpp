// All matrix products of SmolLM2-135M as one step: 30 layers of {qkv, o, gate and up, down} and the head, by
// number of tokens. Weights are random and as large as the model's, so nothing stays in a cache between
// steps.
//
//   bench_linear [threads] [layer format] [head format] [f32]     (2 Q4_1 Q8_0; PEGAINFER_CPU_ISA picks the
//   kernels)
#include <fmt/core.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/half.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/pack.h"

namespace pegainfer::cpu {
namespace {

class SpinBarrier {
 public:
  explicit SpinBarrier(int total) : total_(total) {}
  void wait() {
    const int generation = generation_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == total_) {
      arrived_.store(0, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
      return;
    }
    while (generation_.load(std::memory_order_acquire) == generation) {
    }
  }

 private:
  const int total_;
  std::atomic<int> arrived_{0};
  std::atomic<int> generation_{0};
};

std::byte* allocate(size_t bytes) {  // in huge pages, as the weights of a model are
  constexpr size_t kHuge = size_t{2} << 20U;
  bytes = (bytes + kHuge - 1) / kHuge * kHuge;
  void* p = std::aligned_alloc(kHuge, bytes);
  if (p == nullptr) std::abort();
  madvise(p, bytes, MADV_HUGEPAGE);
  return static_cast<std::byte*>(p);
}

struct Layer {
  WeightFormat format;
  int64_t n, k;
  std::byte* packed;
};

// Random bits would hold NaN; small numbers everywhere keep the arithmetic ordinary.
void fill(WeightFormat format, int64_t n, int64_t k, std::byte* packed, std::mt19937& rng) {
  std::vector<std::byte> rows(64 * row_bytes(format, k));
  for (std::byte& b : rows) b = static_cast<std::byte>(rng() & 0x1f);
  for (int64_t r = 0; r < n; r += 64)
    pack_rows(format, n, k, packed, r, std::min<int64_t>(64, n - r), rows.data());
}

struct Model {
  std::vector<Layer> layers;
  size_t bytes = 0;

  Model(WeightFormat layer_format, WeightFormat head_format) {
    const int64_t shapes[][2] = {{960, 576}, {576, 576}, {3072, 576}, {576, 1536}};
    for (int i = 0; i < 30; ++i)
      for (const auto& [n, k] : shapes) layers.push_back({layer_format, n, k, nullptr});
    layers.push_back({head_format, 49152, 576, nullptr});
    for (const Layer& l : layers) bytes += packed_bytes(l.format, l.n, l.k);
    std::byte* at = allocate(bytes);
    std::mt19937 rng(1);
    for (Layer& l : layers) {
      l.packed = at;
      at += packed_bytes(l.format, l.n, l.k);
      fill(l.format, l.n, l.k, l.packed, rng);
    }
  }
};

struct Step {
  const Model& model;
  const LinearKernels& kernels;
  bool x_bf16;
  int threads;
  int64_t m;
  std::byte* x;
  std::byte* out;
  std::vector<std::byte*> prepared;  // one a thread
  std::vector<std::byte*> scratch;
  SpinBarrier barrier;

  void one(const Layer& l, int64_t tokens, int id) {
    LinearArgs args{
        .x = x, .x_bf16 = x_bf16, .m = tokens, .x_stride = l.k, .format = l.format, .packed = l.packed};
    args.n = l.n;
    args.k = l.k;
    args.out = out;
    args.out_bf16 = x_bf16 && l.n < 49152;
    args.out_stride = l.n;
    const LinearPreparation prep = kernels.preparation(l.format, x_bf16, l.k);
    if (linear_prepared_bytes(prep, tokens, l.k) > 0) {
      if (tokens <= 4) {  // sooner done by each than waited for
        args.prepared = prepared[static_cast<size_t>(id)];
        kernels.prepare(prep, args, 0, tokens);
      } else {
        args.prepared = prepared[0];
        kernels.prepare(prep, args, tokens * id / threads, tokens * (id + 1) / threads);
        barrier.wait();
      }
    }
    const int64_t tasks = linear_num_tasks(args);
    kernels.run(args, tasks * id / threads, tasks * (id + 1) / threads, scratch[static_cast<size_t>(id)]);
    barrier.wait();
  }

  void run(int id) {
    for (const Layer& l : model.layers) one(l, l.n == 49152 && m > 64 ? 1 : m, id);
  }
};

void measure(const Model& model, Isa isa, bool x_bf16, int threads, int64_t m) {
  const size_t x_bytes = static_cast<size_t>(m) * 1536 * 4;
  Step step{model, linear_kernels(isa), x_bf16, threads, m, allocate(x_bytes), nullptr, {},
            {},    SpinBarrier(threads)};
  step.out = allocate(static_cast<size_t>(m > 64 ? 64 : m) * 49152 * 4 + static_cast<size_t>(m) * 3072 * 4);
  std::mt19937 rng(2);
  for (size_t i = 0; i < x_bytes / (x_bf16 ? 2 : 4); ++i) {
    const float v = static_cast<float>(static_cast<int>(rng() % 2001) - 1000) / 500;
    const uint16_t half = f32_to_bf16(v);
    x_bf16 ? std::memcpy(step.x + i * 2, &half, 2) : std::memcpy(step.x + i * 4, &v, 4);
  }
  for (int i = 0; i < threads; ++i) {
    step.prepared.push_back(allocate(x_bytes * 2));
    step.scratch.push_back(allocate(kLinearScratchBytes));
  }
  const int repeats = m > 64 ? 8 : 60;
  std::vector<double> seconds;
  const auto body = [&](int id) {
    for (int i = 0; i < repeats; ++i) {
      step.barrier.wait();
      const auto start = std::chrono::steady_clock::now();
      step.run(id);
      if (id == 0)
        seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    }
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(body, i);
  body(0);
  others.clear();
  std::sort(seconds.begin(), seconds.end());
  double flops = 0;
  for (const Layer& l : model.layers)
    flops += 2.0 * static_cast<double>(l.n * l.k * (l.n == 49152 && m > 64 ? 1 : m));
  const auto print = [&](std::string_view what, double t) {
    fmt::print("  {} {:8.3f} ms {:8.1f} tok/s {:6.1f} GB/s {:7.1f} GFLOP/s", what, t * 1e3,
               static_cast<double>(m) / t, static_cast<double>(model.bytes) / t / 1e9, flops / t / 1e9);
  };
  fmt::print("m {:4}", m);
  print("best", seconds.front());
  print("median", seconds[seconds.size() / 2]);
  fmt::print("\n");
  for (std::byte* p : step.prepared) std::free(p);
  for (std::byte* p : step.scratch) std::free(p);
  std::free(step.x);
  std::free(step.out);
}

WeightFormat format_named(std::string_view name) {
  for (const WeightFormatInfo& info : kWeightFormats)
    if (info.name == name) return info.format;
  fmt::print(stderr, "no weight format is called {}\n", name);
  std::exit(2);
}

}  // namespace
}  // namespace pegainfer::cpu

int main(int argc, char** argv) {
  using namespace pegainfer;
  using namespace pegainfer::cpu;
  const int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 2;
  const WeightFormat layers = format_named(argc > 2 ? argv[2] : "Q4_1");
  const WeightFormat head = format_named(argc > 3 ? argv[3] : "Q8_0");
  const bool x_bf16 = argc <= 4 || std::string_view(argv[4]) != "f32";
  const Isa isa = detect_isa();
  const Model model(layers, head);
  fmt::print("{} threads, {}, layers {}, head {}, activations {}, {:.1f} MB\n", threads, name_of(isa),
             info_of(layers).name, info_of(head).name, x_bf16 ? "BF16" : "F32",
             static_cast<double>(model.bytes) / 1e6);
  std::vector<int64_t> tokens{1, 2, 4, 8, 16, 32, 512};
  if (argc > 5) tokens.clear();
  for (int i = 5; i < argc; ++i) tokens.push_back(std::max(1, std::atoi(argv[i])));
  for (const int64_t m : tokens) measure(model, isa, x_bf16, threads, m);
  return 0;
}

// Paged attention alone, at the shapes of a model's layers: microseconds a launch (median of graphs of many
// launches, each over another layer's cache, so that L2 does not help), beside the read ceiling of the same
// run.
//
//   cuda_attention_bench [all|decode|prefill|few] [heads kv_heads head_dim [block_size [split_units]]]
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/cuda/attention/attention.h"
#include "kernels/cuda/attention/decode.h"
#include "kernels/cuda/attention/prefill.h"

namespace {

using namespace pegainfer;
using namespace pegainfer::cuda;

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::printf("%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

template <class T>
T* device_memory(size_t count) {
  void* p = nullptr;
  check(cudaMalloc(&p, count * sizeof(T)), "cudaMalloc");
  check(cudaMemset(p, 0, count * sizeof(T)), "cudaMemset");
  return static_cast<T*>(p);
}
template <class T>
T* uploaded(const std::vector<T>& v) {
  T* p = device_memory<T>(v.size());
  check(cudaMemcpy(p, v.data(), v.size() * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  return p;
}

__global__ void read_kernel(const uint4* from, size_t count, unsigned* out) {
  unsigned sum = 0;
  const size_t step = size_t{gridDim.x} * blockDim.x;
  size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (; i + 7 * step < count; i += 8 * step) {
    uint4 v[8];
#pragma unroll
    for (int j = 0; j < 8; ++j) v[j] = __ldcs(from + i + j * step);
#pragma unroll
    for (int j = 0; j < 8; ++j) sum += v[j].x ^ v[j].y ^ v[j].z ^ v[j].w;
  }
  if (sum == 0x12345678U) *out = sum;
}

// Values of about unit variance: a kernel's clock depends on what it computes.
__global__ void fill_kernel(uint16_t* to, size_t count, unsigned seed) {
  for (size_t i = size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += size_t{gridDim.x} * blockDim.x) {
    unsigned x = static_cast<unsigned>(i) * 2654435761U + seed;
    x ^= x >> 15U, x *= 2246822519U, x ^= x >> 13U, x *= 3266489917U, x ^= x >> 16U;
    to[i] = static_cast<uint16_t>(0x3E80U + (x & 0x17FU) + (x >> 31U << 15U));
  }
}

cudaStream_t stream = nullptr;

// Median microseconds a launch; `enqueue(i)` enqueues the i-th of `launches`.
double measure(int launches, const std::function<void(int)>& enqueue, int repeats = 21) {
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "capture");
  for (int i = 0; i < launches; ++i) enqueue(i);
  check(cudaStreamEndCapture(stream, &graph), "capture");
  check(cudaGraphInstantiate(&executable, graph, 0), "instantiate");
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  cudaEventCreate(&begin);
  cudaEventCreate(&end);
  std::vector<float> times;
  for (int i = 0; i < repeats + 2; ++i) {
    cudaEventRecord(begin, stream);
    cudaGraphLaunch(executable, stream);
    cudaEventRecord(end, stream);
    check(cudaEventSynchronize(end), "run");
    float ms = 0;
    cudaEventElapsedTime(&ms, begin, end);
    if (i >= 2) times.push_back(ms);
  }
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
  std::sort(times.begin(), times.end());
  return 1000.0 * static_cast<double>(times[times.size() / 2]) / launches;
}

struct Model {
  int heads = 32;
  int kv_heads = 8;
  int head_dim = 128;
};

constexpr size_t kCacheBytes = size_t{6} << 30U;

struct Bench {
  Model model;
  int block_size = 16;
  int split_units = kMaxSplitUnits;
  AttentionDevice device;
  uint16_t* cache = nullptr;
  uint16_t* q = nullptr;
  uint16_t* out = nullptr;
  std::byte* scratch = nullptr;
  double ceiling = 0;  // GB/s

  struct Batch {
    PagedAttention p;
    int layers = 0;
    size_t layer_elements = 0;
    double kv_tokens = 0;
    double pairs = 0;  // of query and key
    std::vector<void*> owned;
    ~Batch() {
      for (void* m : owned) cudaFree(m);
    }
  };

  void fill(Batch& b, const std::vector<std::pair<int, int>>& sequences, int window = 0) const {
    std::vector<int> starts{0};
    std::vector<int> contexts;
    int widest = 1;
    int blocks = 0;
    for (const auto& [context, queries] : sequences) {
      starts.push_back(starts.back() + queries);
      contexts.push_back(context);
      widest = std::max(widest, (context + block_size - 1) / block_size);
      blocks += (context + block_size - 1) / block_size;
      b.kv_tokens += context;
      b.pairs += static_cast<double>(queries) * (context - queries) + 0.5 * queries * (queries + 1.0);
    }
    std::vector<int> order(static_cast<size_t>(blocks));
    for (int i = 0; i < blocks; ++i) order[static_cast<size_t>(i)] = i;
    std::mt19937 random(1);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<int> table(sequences.size() * static_cast<size_t>(widest));
    size_t next = 0;
    for (size_t s = 0; s < sequences.size(); ++s) {
      for (int i = 0; i * block_size < sequences[s].first; ++i)
        table[s * static_cast<size_t>(widest) + static_cast<size_t>(i)] = order[next++];
    }
    b.layer_elements = size_t{2} * static_cast<size_t>(blocks) * block_size *
                       static_cast<size_t>(model.kv_heads) * static_cast<size_t>(model.head_dim);
    b.layers = static_cast<int>(std::clamp<size_t>(kCacheBytes / 2 / b.layer_elements, 1, 64));
    const auto stride = int64_t{model.heads} * model.head_dim;
    b.p = {.q = q,
           .out = out,
           .q_stride = stride,
           .out_stride = stride,
           .query_start = uploaded(starts),
           .context_len = uploaded(contexts),
           .block_table = uploaded(table),
           .table_stride = widest,
           .kv = cache,
           .num_blocks = blocks,
           .block_size = block_size,
           .num_seqs = static_cast<int>(sequences.size()),
           .num_tokens = starts.back(),
           .num_heads = model.heads,
           .num_kv_heads = model.kv_heads,
           .head_dim = model.head_dim,
           .window = window,
           .scale = 0.088F};
    b.owned = {const_cast<int*>(b.p.query_start), const_cast<int*>(b.p.context_len),
               const_cast<int*>(b.p.block_table)};
  }

  void decode(const char* name, const std::vector<int>& contexts) const {
    Batch b;
    std::vector<std::pair<int, int>> sequences;
    for (const int c : contexts) sequences.emplace_back(c, 1);
    fill(b, sequences);
    const AttentionScratch at = AttentionScratch::of(b.p.num_seqs, b.p.num_heads, b.p.head_dim);
    auto* chunks = reinterpret_cast<DecodeChunk*>(scratch + AttentionScratch::kChunks);
    auto* count = reinterpret_cast<int*>(scratch + AttentionScratch::kHeaders);
    const DecodePlan plan{b.p.query_start,
                          b.p.context_len,
                          {.num_seqs = b.p.num_seqs,
                           .num_kv_heads = model.kv_heads,
                           .num_sms = device.num_sms,
                           .max_units = split_units,
                           .ctas_per_sm = ctas_per_sm(model.head_dim, b.p.num_seqs)},
                          chunks,
                          count};
    const DecodeWork work{chunks, count, reinterpret_cast<float*>(scratch + at.partials),
                          reinterpret_cast<unsigned*>(scratch + AttentionScratch::kCounters),
                          reinterpret_cast<unsigned*>(scratch + AttentionScratch::kTaken)};
    const double plan_us = measure(20, [&](int) { check(plan_decode(plan, stream), "plan"); });
    const int launches = std::max(b.layers, 8);
    const double us = measure(launches, [&](int i) {
      PagedAttention p = b.p;
      p.kv = cache + static_cast<size_t>(i % b.layers) * b.layer_elements;
      check(decode_attention(p, nullptr, work, device, stream), "decode");
    });
    const double bytes = b.kv_tokens * 4.0 * model.kv_heads * model.head_dim;
    std::printf("decode  %-18s %9.2f us  %7.0f GB/s  %5.1f %%   (list %.2f us, %.1f MB)\n", name, us,
                bytes / us / 1e3, 100 * bytes / us / 1e3 / ceiling, plan_us, bytes / 1e6);
  }

  void prefill(const char* name, const std::vector<std::pair<int, int>>& sequences) const {
    Batch b;
    fill(b, sequences);
    auto* counters = reinterpret_cast<unsigned*>(scratch);
    const double flops = 4.0 * b.pairs * model.heads * model.head_dim;
    const int launches = std::clamp(static_cast<int>(20e-3 / (flops / 4e14)), 2, 20);
    const auto time = [&](bool mma) {
      return measure(
          launches,
          [&](int i) {
            PagedAttention p = b.p;
            p.kv = cache + static_cast<size_t>(i % b.layers) * b.layer_elements;
            check(mma ? prefill_mma(p, stream) : prefill_attention(p, device, counters, stream), "prefill");
          },
          11);
    };
    const double tuned = time(false);
    const double mma = time(true);
    std::printf("prefill %-18s %9.1f us  %7.1f TFLOP/s   (mma.sync %.1f us, %.1f TFLOP/s)\n", name, tuned,
                flops / tuned / 1e6, mma, flops / mma / 1e6);
  }
};

void run(Bench& bench, const std::string& what) {
  const auto same = [](int n, int context) { return std::vector<int>(static_cast<size_t>(n), context); };
  std::vector<int> mixed;
  std::mt19937 random(7);
  for (int i = 0; i < 64; ++i)
    mixed.push_back(static_cast<int>(1U << (6 + random() % 6)) + static_cast<int>(random() % 64));
  if (what == "few") {
    bench.decode("1 x 1024", same(1, 1024));
    bench.decode("1 x 65536", same(1, 65536));
    bench.decode("8 x 1024", same(8, 1024));
    bench.decode("16 x 4096", same(16, 4096));
    bench.decode("40 x 1024", same(40, 1024));
    bench.decode("64 x 1024", same(64, 1024));
    bench.decode("256 x 1024", same(256, 1024));
    bench.decode("64 x 64..2100", mixed);
    return;
  }
  if (what != "prefill") {
    bench.decode("1 x 1", same(1, 1));
    bench.decode("1 x 128", same(1, 128));
    bench.decode("1 x 1024", same(1, 1024));
    bench.decode("1 x 4096", same(1, 4096));
    bench.decode("1 x 16384", same(1, 16384));
    bench.decode("1 x 65536", same(1, 65536));
    bench.decode("4 x 1024", same(4, 1024));
    bench.decode("8 x 1024", same(8, 1024));
    bench.decode("16 x 1024", same(16, 1024));
    bench.decode("16 x 4096", same(16, 4096));
    bench.decode("40 x 1024", same(40, 1024));
    bench.decode("64 x 1024", same(64, 1024));
    bench.decode("256 x 256", same(256, 256));
    bench.decode("256 x 1024", same(256, 1024));
    bench.decode("64 x 64..2100", mixed);
  }
  if (what != "decode") {
    bench.prefill("1 x 128", {{128, 128}});
    bench.prefill("1 x 512", {{512, 512}});
    bench.prefill("1 x 1024", {{1024, 1024}});
    bench.prefill("1 x 2048", {{2048, 2048}});
    bench.prefill("1 x 4096", {{4096, 4096}});
    bench.prefill("1 x 16384", {{16384, 16384}});
    bench.prefill("4 x 1024", {{1024, 1024}, {1024, 1024}, {1024, 1024}, {1024, 1024}});
    bench.prefill("512 of 8192", {{8192, 512}});
    bench.prefill("2048 of 8192", {{8192, 2048}});
    bench.prefill("16 x 128", std::vector<std::pair<int, int>>(16, {128, 128}));
  }
}

}  // namespace

int main(int argc, char** argv) {
  Bench bench;
  std::string what;
  if (argc > 1) what = argv[1];
  if (argc > 4) bench.model = {std::atoi(argv[2]), std::atoi(argv[3]), std::atoi(argv[4])};
  if (argc > 5) bench.block_size = std::atoi(argv[5]);
  if (argc > 6) bench.split_units = std::atoi(argv[6]);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, 0), "device");
  bench.device = {.num_sms = properties.multiProcessorCount,
                  .major = properties.major,
                  .shared_bytes_per_block = properties.sharedMemPerBlockOptin};
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "stream");
  bench.cache = device_memory<uint16_t>(kCacheBytes / 2);
  bench.q = device_memory<uint16_t>(size_t{32768} * 8192);
  bench.out = device_memory<uint16_t>(size_t{32768} * 8192);
  bench.scratch = device_memory<std::byte>(size_t{256} << 20U);
  fill_kernel<<<1024, 256, 0, stream>>>(bench.cache, kCacheBytes / 2, 1);
  fill_kernel<<<1024, 256, 0, stream>>>(bench.q, size_t{32768} * 8192, 2);
  check(cudaStreamSynchronize(stream), "fill");
  for (const int ctas : {2, 4, 8}) {
    const double us = measure(
        2,
        [&](int) {
          read_kernel<<<static_cast<unsigned>(bench.device.num_sms * ctas), 256, 0, stream>>>(
              reinterpret_cast<const uint4*>(bench.cache), kCacheBytes / 16,
              reinterpret_cast<unsigned*>(bench.out));
        },
        5);
    bench.ceiling = std::max(bench.ceiling, static_cast<double>(kCacheBytes) / us / 1e3);
  }
  std::printf("%s, read ceiling %.0f GB/s; heads %d / %d, head_dim %d, blocks of %d, splits of up to %d\n",
              properties.name, bench.ceiling, bench.model.heads, bench.model.kv_heads, bench.model.head_dim,
              bench.block_size, bench.split_units * 64);
  run(bench, what);
  return 0;
}

// Where a decode step's time goes: the captured step of a Qwen3-4B shape (made-up weights), whole and with
// one group of ops left out at a time. What is left out saves its kernels and their boundaries, so the
// differences need not add up to the whole; they say what a group is worth. "Served" is the same step as the
// engine's loop runs it, through the runner with two launches under way: what it takes beyond the graph is
// idle time of the GPU between steps.
//
//   cuda_step_bench [--whole] [BATCH:CONTEXT ...]      --whole: nothing left out
#include <cuda_runtime.h>
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cuda/cuda_backend.h"
#include "base/check.h"
#include "checkpoint/checkpoint.h"
#include "model/dummy_weights.h"
#include "runner/model_loader.h"
#include "runner/step_tensors.h"

namespace pegainfer {
namespace {

// Another Ops without the ops of one group.
class Without final : public Ops {
 public:
  Without(Ops& inner, std::string_view group) : inner_(inner), group_(group) {}

  void begin_step(const BatchView& batch) override { inner_.begin_step(batch); }
  void take_tokens(Tensor a, Tensor b, Tensor c) override { inner_.take_tokens(a, b, c); }
  void embedding(const Weight& a, Tensor b, Tensor c) override { inner_.embedding(a, b, c); }
  void rms_norm(Tensor a, Tensor b, float c, Tensor d) override { inner_.rms_norm(a, b, c, d); }
  void add(Tensor a, Tensor b) override { inner_.add(a, b); }
  void linear(Tensor a, const Weight& b, Tensor c) override {
    if (group_ != "head") inner_.linear(a, b, c);
  }
  void rope_table(Tensor a, Tensor b, float c, DType d, Tensor e) override {
    inner_.rope_table(a, b, c, d, e);
  }
  void qk_norm_rope(Tensor a, Tensor b, int c, Tensor d, Tensor e, float f, Tensor g) override {
    inner_.qk_norm_rope(a, b, c, d, e, f, g);
  }
  void store_kv(Tensor a, Tensor b, int c, const BatchView& d) override { inner_.store_kv(a, b, c, d); }
  void paged_attention(Tensor a, const AttentionParams& b, const BatchView& c, Tensor d) override {
    if (group_ != "attention") inner_.paged_attention(a, b, c, d);
  }
  void silu_mul(Tensor a, Tensor b) override { inner_.silu_mul(a, b); }
  void gather_rows(Tensor a, Tensor b, Tensor c) override { inner_.gather_rows(a, b, c); }
  void add_logits(Tensor a, const LogitEditsView& b) override { inner_.add_logits(a, b); }
  void mask_logits(Tensor a, const MaskView& b) override { inner_.mask_logits(a, b); }
  void apply_penalties(Tensor a, const PenaltyView& b) override { inner_.apply_penalties(a, b); }
  void sample(Tensor a, const SamplerView& b, Tensor c) override {
    if (group_ != "sampling") inner_.sample(a, b, c);
  }
  void logprobs(Tensor a, Tensor b, int c, Tensor d, Tensor e, Tensor f) override {
    inner_.logprobs(a, b, c, d, e, f);
  }
  void norm_linear(Tensor a, Tensor b, float c, const Weight& d, Tensor e, Tensor f) override {
    if (group_ != "norm + qkv") inner_.norm_linear(a, b, c, d, e, f);
  }
  void linear_add(Tensor a, const Weight& b, Tensor c, Tensor d) override {
    const bool is_down = b.cols() > b.rows() * 2;
    if (group_ != (is_down ? "down + residual" : "o + residual")) inner_.linear_add(a, b, c, d);
  }
  void norm_gated_linear(Tensor a, Tensor b, float c, const Weight& d, Tensor e, Tensor f,
                         Tensor g) override {
    if (group_ != "norm + gate, up + silu") inner_.norm_gated_linear(a, b, c, d, e, f, g);
  }
  void qk_norm_rope_store(Tensor a, Tensor b, Tensor c, const QkNormRope& d, int e,
                          const BatchView& f) override {
    if (group_ != "rope + store") inner_.qk_norm_rope_store(a, b, c, d, e, f);
  }
  void attention(Tensor a, Tensor b, Tensor c, const QkNormRope& d, const AttentionParams& e,
                 const BatchView& f, Tensor g) override {
    // Its parts one by one where one of them is left out.
    if (group_ == "rope + store" || group_ == "attention")
      Ops::attention(a, b, c, d, e, f, g);
    else
      inner_.attention(a, b, c, d, e, f, g);
  }

 private:
  Ops& inner_;
  std::string_view group_;
};

constexpr const char* kConfig =
    R"({"architectures":["Qwen3ForCausalLM"],"model_type":"qwen3","vocab_size":151936,
"hidden_size":2560,"intermediate_size":9728,"num_hidden_layers":36,"num_attention_heads":32,"num_key_value_heads":8,
"head_dim":128,"max_position_embeddings":40960,"rope_theta":1000000.0,"rope_scaling":null,"tie_word_embeddings":true,
"rms_norm_eps":1e-06,"hidden_act":"silu","attention_bias":false,"use_sliding_window":false,"torch_dtype":"bfloat16"})";

template <class T>
T must(Result<T> result) {
  CHECK(result.has_value(), "{}", result ? "" : result.error().message);
  return *std::move(result);
}

struct Bench {
  std::unique_ptr<CudaBackend> backend = must(CudaBackend::create(0, false));
  LoadedModel model;

  Bench() {
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / "pegainfer-step-bench";
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.json") << kConfig;
    Checkpoint checkpoint = must(Checkpoint::open(folder.string(), CheckpointOptions{.config_only = true}));
    checkpoint.tensors = must(configured_tensors(*checkpoint.config));
    model = must(load_model(*backend, checkpoint,
                            {.dtype = "bfloat16",
                             .max_model_len = 40960,
                             .max_num_seqs = 256,
                             .max_num_batched_tokens = 2048,
                             .memory_utilization = 0.9,
                             .depth = 2,
                             .graph_buckets = {1, 8, 16, 32, 64, 128},
                             .dummy_seed = 0},
                            {}));
  }

  // The next token of each of `batch` sequences that have `context` positions with it.
  [[nodiscard]] StepPlan plan_of(int batch, int context, bool pending) const {
    const int blocks = (context + model.options.block_size - 1) / model.options.block_size;
    StepPlan plan;
    for (int s = 0; s < batch; ++s) {
      plan.seqs.push_back({.id = {static_cast<uint64_t>(s)},
                           .num_computed_tokens = context - 1,
                           .num_tokens = 1,
                           .first_token = s,
                           .first_block = s * blocks,
                           .num_blocks = blocks,
                           .sample = true});
      plan.token_ids.push_back(pending ? kPendingToken : s + 1);
      for (int b = 0; b < blocks; ++b)
        plan.block_ids.push_back(1 + (s * blocks + b) % (model.options.num_blocks - 1));
    }
    plan.num_tokens = batch;
    return plan;
  }

  // Mean milliseconds of a step as it is served, and microseconds of it that launch() takes on the host.
  std::pair<double, double> served(int batch, int context) {
    constexpr int kSteps = 200;
    using Clock = std::chrono::steady_clock;
    StepResult result;
    model.runner->launch(plan_of(batch, context, false));
    Clock::duration in_launch{};
    Clock::time_point begin;
    for (int i = 0; i < kSteps; ++i) {
      if (i == kSteps / 10) {
        begin = Clock::now();
        in_launch = {};
      }
      const auto before = Clock::now();
      model.runner->launch(plan_of(batch, context, true));
      in_launch += Clock::now() - before;
      model.runner->collect(result);
    }
    const auto end = Clock::now();
    model.runner->collect(result);
    constexpr double kCounted = kSteps - kSteps / 10;
    return {std::chrono::duration<double, std::milli>(end - begin).count() / kCounted,
            std::chrono::duration<double, std::micro>(in_launch).count() / kCounted};
  }

  // Median milliseconds of the captured step of `batch` sequences that have `context` positions.
  double step_ms(int batch, int context, std::string_view without) {
    const StepPlan plan = plan_of(batch, context, false);
    const InputBatchLimits limits = model.options.batch_limits(model.config.vocab_size);
    const StepBlocks device = must(StepBlocks::create(*backend, limits));
    InputBatch inputs = must(InputBatch::create(*backend, limits, device));
    const StepTensors step =
        inputs.stage(plan, model.runner->kv_cache(), model.config.vocab_size, nullptr, batch);
    inputs.upload();
    const Buffer memory = must(backend->allocate(plan_workspace(*model.model, model.options)));
    Arena arena(memory.bytes());
    Without ops(backend->ops(), without);
    const auto enqueue = [&] {
      run_step(*model.model, ops, arena, model.arithmetic, model.options.head_rows, step);
    };
    enqueue();
    const std::unique_ptr<Graph> graph = backend->capture(enqueue);
    std::vector<float> times;
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
    cudaEventCreate(&begin);
    cudaEventCreate(&end);
    for (int i = 0; i < 25; ++i) {
      cudaEventRecord(begin, backend->stream());
      graph->launch();
      cudaEventRecord(end, backend->stream());
      cudaEventSynchronize(end);
      float ms = 0;
      cudaEventElapsedTime(&ms, begin, end);
      if (i >= 5) times.push_back(ms);
    }
    cudaEventDestroy(begin);
    cudaEventDestroy(end);
    const Status health = backend->health();
    CHECK(health.has_value(), "{}", health ? "" : health.error().message);
    std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
    return static_cast<double>(times[times.size() / 2]);
  }
};

int run(int argc, char** argv) {
  Bench bench;
  std::vector<std::string> shapes(argv + 1, argv + argc);
  const bool whole_only = !shapes.empty() && shapes.front() == "--whole";
  if (whole_only) shapes.erase(shapes.begin());
  if (shapes.empty()) shapes = {"1:1024", "16:1024", "64:1024", "128:1024"};
  fmt::print("{}\n", bench.backend->description());
  for (const std::string& shape : shapes) {
    const int batch = std::stoi(shape);
    const int context = std::stoi(shape.substr(shape.find(':') + 1));
    const double whole = bench.step_ms(batch, context, "");
    const double bytes = 8.045e9 + static_cast<double>(batch) * context * 147456.0;
    fmt::print("batch {} context {}: {:.3f} ms, {:.0f} GB/s of weights and KV\n", batch, context, whole,
               bytes / whole / 1e6);
    const auto [served_ms, launch_us] = bench.served(batch, context);
    fmt::print("  served {:.3f} ms, {:.1f} % beyond the graph; launch() {:.0f} us on the host\n", served_ms,
               100 * (served_ms / whole - 1), launch_us);
    if (whole_only) continue;
    for (const char* group : {"norm + qkv", "rope + store", "attention", "o + residual",
                              "norm + gate, up + silu", "down + residual", "head", "sampling"})
      fmt::print("  without {:24} -{:.3f} ms\n", group, whole - bench.step_ms(batch, context, group));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace pegainfer

int main(int argc, char** argv) { return pegainfer::run(argc, argv); }

// The plan before anything is allocated: what is needed, what is there, what would fit.
#include "runner/memory_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "backend/cuda_layout.h"
#include "model/memory_checkpoint.h"
#include "model/registry.h"
#include "runner/model_loader.h"
#include "sampling/validate.h"

namespace pegainfer {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr size_t kMiB = size_t{1} << 20U;

struct Setting {
  testing::MemoryCheckpoint checkpoint{testing::tiny_qwen3()};
  testing::PlainBackend backend;
  std::unique_ptr<Model> model;
  RunnerOptions options{.arithmetic = DType::kBF16,
                        .kv_dtype = DType::kBF16,
                        .max_num_seqs = 8,
                        .max_num_batched_tokens = 64,
                        .max_model_len = 256,
                        .block_size = 16,
                        .num_blocks = 0};

  Setting() {
    const auto definition = find_model(*checkpoint.checkpoint.config);
    const auto plan = plan_model(**definition, checkpoint.checkpoint, DType::kBF16, backend);
    auto* const nowhere = reinterpret_cast<std::byte*>(64);  // NOLINT(performance-no-int-to-ptr)
    model = (*definition)->create(*checkpoint.checkpoint.config, WeightMap(*plan, nowhere));
  }
  Result<MemoryPlan> plan(size_t available, const KvBudget& budget) {
    backend.available = available;
    return plan_memory(*model, kMiB, backend, budget, options);
  }
};

// 2 layers x 2 (K, V) x 16 positions x 2 heads x 32 x 2 bytes.
constexpr size_t kBlockBytes = size_t{2} * 2 * 16 * 2 * 32 * 2;

TEST(MemoryPlan, WithRoomEverySequenceMayBeFullLength) {
  Setting s;
  const auto plan = s.plan(1024 * kMiB, {.shorten_context = true});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->num_blocks, 8 * 16 + 1);
  EXPECT_EQ(plan->kv_bytes, 129 * kBlockBytes);
  EXPECT_EQ(plan->kv_tokens(), 8 * 256);
  EXPECT_DOUBLE_EQ(plan->full_length_requests(), 8.0);
  EXPECT_FALSE(plan->context_shortened);
  EXPECT_EQ(s.options.num_blocks, plan->num_blocks);
  EXPECT_THAT(plan->describe(), AllOf(HasSubstr("2048 tokens"), HasSubstr("8.0 requests of 256 tokens"),
                                      HasSubstr("weights 1.0 MiB")));
}

TEST(MemoryPlan, ExplicitSizes) {
  Setting s;
  auto plan = s.plan(1024 * kMiB, {.memory_bytes = 40 * kBlockBytes});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->num_blocks, 40);
  plan = s.plan(1024 * kMiB, {.num_blocks = 33});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->num_blocks, 33);
}

TEST(MemoryPlan, ACacheThatHoldsNoFullRequestIsAnError) {
  Setting s;
  const auto plan = s.plan(1024 * kMiB, {.num_blocks = 9});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Code::kResourceExhausted);
  EXPECT_THAT(plan.error().message, AllOf(HasSubstr("9 blocks"), HasSubstr("128 tokens"),
                                          HasSubstr("--max-model-len 256 needs 17")));
}

TEST(MemoryPlan, ALongContextIsShortenedWhenNobodyAskedForIt) {
  Setting s;
  s.options.max_model_len = 100000;
  const auto wide = s.plan(1024 * kMiB, {.shorten_context = true});
  ASSERT_TRUE(wide);
  EXPECT_FALSE(wide->context_shortened);

  const auto plan = s.plan(40 * kMiB, {.shorten_context = true});
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_TRUE(plan->context_shortened);
  EXPECT_EQ(plan->max_model_len, plan->kv_tokens());
  EXPECT_EQ(s.options.max_model_len, plan->max_model_len);
  EXPECT_LT(plan->weights_bytes + plan->workspace_bytes + plan->kv_bytes, 40 * kMiB);
}

TEST(MemoryPlan, NotEnoughMemorySaysWhatFits) {
  Setting s;
  s.options.max_model_len = 100000;
  const auto plan = s.plan(40 * kMiB, {.shorten_context = false});
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().code, Code::kResourceExhausted);
  EXPECT_THAT(plan.error().message, AllOf(HasSubstr("not enough memory"), HasSubstr("weights 1.0 MiB"),
                                          HasSubstr("40.0 MiB is available"), HasSubstr("--max-model-len")));
  // What the message offers does fit.
  const std::string& message = plan.error().message;
  s.options.max_model_len = std::stoi(message.substr(message.find("--max-model-len ") + 16));
  const auto smaller = s.plan(40 * kMiB, {.memory_bytes = 0, .shorten_context = false});
  EXPECT_GT(s.options.max_model_len, 1024);
  EXPECT_TRUE(smaller) << smaller.error().message;
}

// What ops need, and the inputs and outputs of a step, with staging for every launch where it is device
// memory.
TEST(MemoryPlan, TheWorkspaceHasEverythingAStepTakes) {
  Setting s;
  const auto workspace = [&s] {
    const auto plan = s.plan(1024 * kMiB, {.shorten_context = true});
    EXPECT_TRUE(plan);
    return plan ? plan->workspace_bytes : 0;
  };
  const size_t inputs = InputBatch::device_bytes(s.options.batch_limits(s.model->config().vocab_size));
  // Log-probabilities of all 64 rows, the most likely of each: ids and values.
  EXPECT_GT(inputs, 64U * 2 * kMaxLogprobs * 4);
  const size_t least = workspace();
  EXPECT_EQ(least, plan_workspace(*s.model, s.options) + inputs);
  // The head's slice of logits is part of the dry run.
  EXPECT_GT(plan_workspace(*s.model, s.options), size_t{StepTensors::kHeadRows} * 160 * sizeof(float));
  s.options.depth = 2;
  EXPECT_EQ(workspace(), least);  // launches share what is on the device
  s.backend.holds_staging = true;
  EXPECT_EQ(workspace(), least + 2 * inputs);
  s.backend.ops_bytes = 12345;
  EXPECT_EQ(workspace(), least + 2 * inputs + 12345);
}

TEST(MemoryPlan, NoRoomForTheWeights) {
  Setting s;
  const auto plan = s.plan(kMiB / 2, {.shorten_context = true});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message,
              AllOf(HasSubstr("not enough memory"), HasSubstr("512.0 KiB is available")));
}

// Nothing is allocated before the plan stands.
TEST(LoadModel, NotEnoughMemoryAllocatesNothing) {
  testing::MemoryCheckpoint checkpoint{testing::tiny_qwen3()};
  checkpoint.source->fail_reads_of("model.embed_tokens.weight");
  testing::PlainBackend backend;
  backend.available = 1000;
  const auto loaded = load_model(backend, checkpoint.checkpoint, {}, {});
  ASSERT_FALSE(loaded);
  EXPECT_THAT(loaded.error().message, HasSubstr("not enough memory"));
  EXPECT_EQ(backend.allocations, 0U);
}

TEST(LoadModel, OptionsAreChecked) {
  const auto refuse = [](const LoadOptions& options, const char* what) {
    testing::MemoryCheckpoint checkpoint{testing::tiny_qwen3()};
    testing::PlainBackend backend;
    const auto loaded = load_model(backend, checkpoint.checkpoint, options, {});
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().code, Code::kInvalidArgument);
    EXPECT_THAT(loaded.error().message, HasSubstr(what));
  };
  refuse({.dtype = "float16"}, "--dtype is 'float16', must be auto, bfloat16 or float32");
  refuse({.kv_cache_dtype = "fp8"}, "--kv-cache-dtype is 'fp8'");
  refuse({.max_model_len = 257}, "--max-model-len is 257, the model has 256 positions");
  refuse({.max_num_seqs = 0}, "--max-num-seqs is 0");
  refuse({.max_num_batched_tokens = -1}, "--max-num-batched-tokens is -1");
  refuse({.block_size = 24}, "--block-size is 24, must be a multiple of 16");
  refuse({.block_size = 8}, "--block-size is 8");
  refuse({.block_size = 0}, "--block-size is 0");
}

TEST(MemoryPlan, UtilizationIsTheShareThatEverythingTogetherTakes) {
  Setting s;
  const auto plan = s.plan(64 * kMiB, {.memory_utilization = 0.5, .shorten_context = true});
  ASSERT_TRUE(plan) << plan.error().message;
  const size_t taken = plan->weights_bytes + plan->workspace_bytes + plan->kv_bytes;
  EXPECT_LE(taken, 32 * kMiB);
  EXPECT_GT(taken, 32 * kMiB - 2 * kBlockBytes);
  const auto little = s.plan(64 * kMiB, {.memory_utilization = 0.01, .shorten_context = true});
  ASSERT_FALSE(little);  // not even the weights
  EXPECT_THAT(
      little.error().message,
      HasSubstr("--gpu-memory-utilization 0.01 is 655.4 KiB of the 64.0 MiB available; weights 1.0 MiB"));
}

// On a device the share is of all its memory, what the driver has taken for us included; beyond what others
// have left it is that.
TEST(MemoryPlan, UtilizationOfADeviceIsOfAllItHas) {
  constexpr size_t kContext = kCudaContextBytes;
  Setting s;
  const auto taken_by = [&](double utilization) {
    s.options.max_model_len = 256;
    const auto plan = s.plan(1000 * kMiB, {.memory_utilization = utilization, .shorten_context = true});
    EXPECT_TRUE(plan) << plan.error().message;
    return plan ? plan->weights_bytes + plan->workspace_bytes + plan->kv_bytes : 0;
  };
  s.options.max_num_seqs = 1 << 20;  // so that it is not the requests that limit the cache
  s.backend.taken = kContext;
  const auto half = (1000 * kMiB + kContext) / 2 - kContext;
  EXPECT_LE(taken_by(0.5), half);
  EXPECT_GT(taken_by(0.5), half - 2 * kBlockBytes);
  s.backend.taken = kContext + 1000 * kMiB;  // others have as much: half of all is less than what is left
  EXPECT_LE(taken_by(0.5), (2000 * kMiB + kContext) / 2 - kContext);
  EXPECT_GT(taken_by(0.5), (2000 * kMiB + kContext) / 2 - kContext - 2 * kBlockBytes);
  EXPECT_LE(taken_by(1), 950 * kMiB);  // not 2,000, which are not there
  EXPECT_GT(taken_by(1), 950 * kMiB - 2 * kBlockBytes);
  s.backend.holds_staging = true;  // the host: of what is available
  EXPECT_LE(taken_by(0.5), 500 * kMiB);
  EXPECT_GT(taken_by(0.5), 500 * kMiB - 2 * kBlockBytes);
}

TEST(MemoryPlan, ACacheTooSmallForAnythingSaysWhatItTakes) {
  Setting s;
  const auto plan = s.plan(1024 * kMiB, {.memory_bytes = 1024, .shorten_context = true});
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().message, AllOf(HasSubstr("a KV cache of 1.0 KiB holds 0 tokens"),
                                          HasSubstr("the least useful context of 256 needs 17 blocks")));
}

}  // namespace
}  // namespace pegainfer

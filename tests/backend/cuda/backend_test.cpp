#include <gmock/gmock.h>

#include <thread>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/machine.h"
#include "ops/matrix.h"

namespace pegainfer::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class CudaBackendTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (CudaMachine::get() != nullptr) backend_ = *CudaBackend::create(0, false);
  }
  static std::span<std::byte> bytes_of(Matrix& m) {
    return {static_cast<std::byte*>(m.tensor().data), m.tensor().bytes()};
  }
  std::unique_ptr<CudaBackend> backend_;
};

TEST_F(CudaBackendTest, WhatItSaysOfItself) {
  EXPECT_EQ(backend_->name(), "cuda");
  EXPECT_THAT(backend_->description(), StartsWith("cuda ("));
  EXPECT_THAT(backend_->description(), HasSubstr(" SMs, driver "));
  const DeviceMemory memory = backend_->memory();
  EXPECT_GT(memory.available_bytes, 0U);
  EXPECT_GE(memory.total_bytes, memory.available_bytes);
  EXPECT_FALSE(memory.holds_staging);
  EXPECT_TRUE(backend_->prefers_graphs());
  EXPECT_TRUE(backend_->health().has_value());
}

TEST_F(CudaBackendTest, CopiesOpsAndEventsAreInOrder) {
  constexpr int64_t kN = 1 << 20;
  const Buffer staging = *backend_->allocate_staging(2 * kN * sizeof(float));
  const Buffer device = *backend_->allocate(2 * kN * sizeof(float));
  auto* host = reinterpret_cast<float*>(staging.data());
  for (int64_t i = 0; i < kN; ++i) host[i] = static_cast<float>(i);
  const std::span<std::byte> first = device.bytes().first(kN * sizeof(float));
  const Tensor x = Tensor::of(device.data(), DType::kF32, 64, kN / 64);
  std::unique_ptr<Event> event = backend_->make_event();
  EXPECT_TRUE(event->done());  // never recorded
  event->wait();
  backend_->upload(staging.bytes().first(first.size()), first);
  for (int i = 0; i < 3; ++i) backend_->ops().add(x, x);
  backend_->download(first, staging.bytes().subspan(first.size()));
  backend_->record_into(*event);
  event->wait();
  EXPECT_TRUE(event->done());
  for (int64_t i = 0; i < kN; i += 997) ASSERT_EQ(host[kN + i], 8 * static_cast<float>(i));
}

TEST_F(CudaBackendTest, ATaskRunsWhenItIsSubmitted) {
  struct Task final : StreamTask {
    int runs = 0;
    void run() override { ++runs; }
  } task;
  backend_->submit(task);
  EXPECT_EQ(task.runs, 1);
}

// A graph reads what its tensors hold when it is launched, not when it was captured; and takes no memory.
TEST_F(CudaBackendTest, CapturedOpsRunAtEachLaunch) {
  Matrix x(DType::kBF16, 16, 512);
  Matrix logits(DType::kF32, 4, 3000);
  const Buffer device = *backend_->allocate(1 << 20);
  const Tensor d = Tensor::of(device.data(), DType::kBF16, 16, 512);
  const Tensor l = Tensor::of(device.data() + (256 << 10), DType::kF32, 4, 3000);
  std::byte* params = device.data() + (512 << 10);
  const auto column = [&](DType dtype) {
    params += 256;
    return Tensor::of(params, dtype, 4, 1);
  };
  // All zeros: greedy.
  const SamplerView view{column(DType::kF32), column(DType::kI32), column(DType::kF32),
                         column(DType::kF32), column(DType::kI64), column(DType::kI64)};
  const Tensor tokens = column(DType::kI32);
  backend_->ops().sample(l, view, tokens);  // what is asked of the runtime once
  const uint64_t before = backend_->num_allocations();
  const std::unique_ptr<Graph> graph = backend_->capture([&] {
    backend_->ops().add(d, d);
    backend_->ops().sample(l, view, tokens);
  });
  for (int launch = 0; launch < 3; ++launch) {
    fill_noise(x, static_cast<uint64_t>(launch));
    fill_noise(logits, static_cast<uint64_t>(launch));
    for (int64_t r = 0; r < 4; ++r) logits.set(r, 100 * launch + r, 5);
    backend_->upload(bytes_of(x), {static_cast<std::byte*>(d.data), d.bytes()});
    backend_->upload(bytes_of(logits), {static_cast<std::byte*>(l.data), l.bytes()});
    graph->launch();
    Matrix out(DType::kBF16, 16, 512);
    Matrix out_tokens(DType::kI32, 4, 1);
    backend_->download({static_cast<const std::byte*>(d.data), d.bytes()}, bytes_of(out));
    backend_->download({static_cast<const std::byte*>(tokens.data), tokens.bytes()}, bytes_of(out_tokens));
    backend_->record()->wait();
    for (int64_t r = 0; r < 16; ++r) {
      for (int64_t c = 0; c < 512; ++c) ASSERT_EQ(out.at(r, c), 2 * x.at(r, c));
    }
    for (int64_t r = 0; r < 4; ++r) EXPECT_EQ(out_tokens.at(r), 100 * launch + static_cast<int>(r));
  }
  EXPECT_EQ(backend_->num_allocations(), before);
}

TEST_F(CudaBackendTest, AnyThreadMayCall) {
  const Buffer device = *backend_->allocate(4096);
  std::thread([&] {
    const Tensor x = Tensor::of(device.data(), DType::kF32, 2, 512);
    backend_->ops().add(x, x);
    backend_->record()->wait();
  }).join();
  EXPECT_TRUE(backend_->health().has_value());
}

TEST_F(CudaBackendTest, ReserveTakesWhatItSays) {
  const StepLimits limits{.max_tokens = 256,
                          .max_seqs = 16,
                          .max_logits = 16,
                          .max_context = 1024,
                          .num_heads = 8,
                          .num_kv_heads = 2,
                          .head_dim = 64,
                          .max_linear_cols = 1024,
                          .vocab_size = 32000};
  ASSERT_TRUE(backend_->reserve(limits).has_value());
  EXPECT_GE(backend_->reserve_bytes(limits), 0U);
}

// An error stays, names the op, and does not take the process with it.
TEST_F(CudaBackendTest, AFailureIsKeptWithTheOpThatSawIt) {
  const Buffer device = *backend_->allocate(4096);
  const Tensor x =
      Tensor::of(device.data(), DType::kF32, 1, (int64_t{1} << 18) + 1);  // more than a row may have
  const Tensor column = Tensor::of(device.data(), DType::kF32, 1, 1);
  backend_->ops().sample(x, {column, column, column, column, column, column}, column);
  ASSERT_FALSE(backend_->health().has_value());
  EXPECT_THAT(backend_->health().error().message, HasSubstr("the GPU failed in sample: "));
  EXPECT_EQ(backend_->health().error().type, "device_error");
  backend_->ops().add(column, column);  // still callable
  EXPECT_THAT(backend_->health().error().message, HasSubstr("the GPU failed in sample: "));
}

TEST_F(CudaBackendTest, NoSuchDeviceIsAnError) {
  const auto backend = CudaBackend::create(4711, false);
  ASSERT_FALSE(backend.has_value());
  EXPECT_THAT(backend.error().message, HasSubstr("4711"));
}

}  // namespace
}  // namespace pegainfer::testing

// A sticky error of the real device: the process that meets it can use the GPU no more, so each runs in a
// process of its own.
#include <gmock/gmock.h>

#include <cstdio>
#include <cstdlib>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/machine.h"

namespace pegainfer::testing {
namespace {

using ::testing::ExitedWithCode;

// An op over memory that is nobody's, and what the backend says then; 70 when it is an error that stays.
[[noreturn]] void fail_and_exit(bool check_every_op) {
  bool stays = false;
  {
    const std::unique_ptr<CudaBackend> backend = *CudaBackend::create(0, check_every_op);
    const Buffer good = *backend->allocate(256);
    const Tensor fine = Tensor::of(good.data(), DType::kF32, 1, 64);
    const Tensor nowhere = Tensor::of(reinterpret_cast<void*>(4096), DType::kF32, 1, 64);
    const std::unique_ptr<Event> event = backend->make_event();
    backend->ops().add(fine, fine);
    backend->ops().add(nowhere, fine);
    backend->record_into(*event);
    event->wait();
    const Status first = backend->health();
    backend->ops().silu_mul(fine, fine);
    const Status later = backend->health();
    stays = !first && !later && first.error().message == later.error().message;
    std::fprintf(stderr, "%s\n", first ? "healthy" : first.error().message.c_str());
  }
  std::exit(stays ? 70 : 1);
}

class CudaDeviceErrorTest : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
};

TEST_F(CudaDeviceErrorTest, NamesTheOpThatFailedWhenEachIsWaitedFor) {
  EXPECT_EXIT(fail_and_exit(true), ExitedWithCode(70), "the GPU failed in add: an illegal memory access");
}

TEST_F(CudaDeviceErrorTest, StaysAndSaysWhatWasEnqueuedLast) {
  EXPECT_EXIT(fail_and_exit(false), ExitedWithCode(70),
              "an illegal memory access.*the last op enqueued before it was add");
}

}  // namespace
}  // namespace pegainfer::testing

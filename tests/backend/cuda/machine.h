// The GPU these tests run on. Without one they are skipped, unless PEGA_REQUIRE_GPU is set: then that fails.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>

#include "backend/cpu/cpu_backend.h"
#include "backend/cuda/cuda_ops.h"
#include "backend/cuda/mirror_ops.h"
#include "base/check.h"

namespace pegainfer::testing {

struct CudaMachine {
  std::unique_ptr<CudaContext> context;
  std::unique_ptr<CudaOps> device_ops;
  std::unique_ptr<MirrorOps> ops;  // for tensors in host memory

  // The one of this process; null when there is no GPU.
  static CudaMachine* get() {
    static const std::unique_ptr<CudaMachine> machine = create();
    return machine.get();
  }

 private:
  static std::unique_ptr<CudaMachine> create() {
    Result<std::unique_ptr<CudaContext>> context = CudaContext::create(0);
    if (!context) return nullptr;
    auto machine = std::make_unique<CudaMachine>();
    machine->context = *std::move(context);
    Result<std::unique_ptr<CudaOps>> ops = CudaOps::create(*machine->context);
    CHECK(ops.has_value(), "{}", ops.error().message);
    machine->device_ops = *std::move(ops);
    machine->ops = std::make_unique<MirrorOps>(*machine->context, *machine->device_ops);
    return machine;
  }
};

class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (CudaMachine::get() != nullptr) return;
    ASSERT_EQ(std::getenv("PEGA_REQUIRE_GPU"), nullptr) << "PEGA_REQUIRE_GPU is set and no GPU can be used";
    GTEST_SKIP() << "no GPU";
  }
  static CudaMachine& machine() { return *CudaMachine::get(); }
  static Ops& ops() { return *machine().ops; }  // host tensors
  // The twin every op is compared with.
  static Ops& cpu_ops() {
    static CpuBackend backend(CpuBackendOptions{});
    return backend.ops();
  }
};

}  // namespace pegainfer::testing

#include "backend/cuda/cuda_context.h"
#include "backend/cuda/machine.h"

namespace pegainfer::testing {
namespace {

class CudaContextTest : public CudaTest {};

TEST_F(CudaContextTest, MemoryIsZeroAndCounted) {
  CudaContext& context = *machine().context;
  const uint64_t before = context.num_allocations();
  Result<Buffer> buffer = context.allocate(1000);
  ASSERT_TRUE(buffer.has_value());
  EXPECT_EQ(context.num_allocations(), before + 1);
  std::vector<std::byte> host(1000, std::byte{1});
  ASSERT_EQ(cudaMemcpyAsync(host.data(), buffer->data(), 1000, cudaMemcpyDeviceToHost, context.stream()),
            cudaSuccess);
  ASSERT_EQ(cudaStreamSynchronize(context.stream()), cudaSuccess);
  EXPECT_EQ(host, std::vector<std::byte>(1000, std::byte{0}));
}

TEST_F(CudaContextTest, MoreMemoryThanThereIsAnErrorThatLeavesTheDeviceWell) {
  CudaContext& context = *machine().context;
  const Result<Buffer> buffer = context.allocate(size_t{1} << 50U);
  ASSERT_FALSE(buffer.has_value());
  EXPECT_EQ(buffer.error().code, Code::kResourceExhausted);
  EXPECT_TRUE(context.allocate(1000).has_value());
}

TEST(CudaContext, NoSuchDeviceIsSaid) {
  const auto context = CudaContext::create(1000);
  ASSERT_FALSE(context.has_value());
  EXPECT_FALSE(context.error().message.empty());
}

}  // namespace
}  // namespace pegainfer::testing

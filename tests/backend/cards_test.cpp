// Cards as figures, and a backend of them that plans.
#include "backend/cards.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "backend/cuda_layout.h"
#include "backend/cuda_probe.h"

namespace pegainfer {
namespace {

TEST(Cards, AreFoundByNameWhateverTheCase) {
  const auto card = find_card("H100");
  ASSERT_TRUE(card);
  EXPECT_EQ(card->name, "h100");
  EXPECT_EQ(card->gb_per_s, 3350);
  const auto none = find_card("voodoo2");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::kInvalidArgument);
  for (const Card& c : cards()) EXPECT_THAT(none.error().message, ::testing::HasSubstr(std::string(c.name)));
}

TEST(Cards, HaveFiguresThatCanBe) {
  std::set<std::string_view> names;
  for (const Card& c : cards()) {
    EXPECT_TRUE(names.insert(c.name).second) << c.name;
    EXPECT_GT(c.memory_gib, 10) << c.name;
    EXPECT_LT(c.memory_gib, 300) << c.name;
    EXPECT_GE(c.gb_per_s, 300) << c.name;
    EXPECT_LE(c.gb_per_s, 8000) << c.name;
    EXPECT_GT(c.num_sms, 50) << c.name;
  }
}

TEST(PlanningBackend, IsTheCardAsTheCudaBackendWouldHaveIt) {
  const Card card = *find_card("l4");
  const auto backend = create_planning_backend(card);
  EXPECT_EQ(backend->name(), "cuda");
  EXPECT_THAT(std::string(backend->description()), ::testing::HasSubstr("L4"));
  EXPECT_EQ(backend->memory().total_bytes, card.memory_bytes());
  EXPECT_EQ(backend->memory().available_bytes, card.memory_bytes() - kCudaContextBytes);
  EXPECT_FALSE(backend->memory().holds_staging);
  for (const WeightFormat format : {WeightFormat::kBF16, WeightFormat::kF32, WeightFormat::kQ4_K})
    EXPECT_EQ(*backend->packed_bytes(format, 100, 512), *cuda_packed_bytes(format, 100, 512));
  EXPECT_FALSE(backend->packed_bytes(WeightFormat::kQ4_K, 100, 100));
  const StepLimits limits{.max_tokens = 512, .max_seqs = 64, .max_logits = 512, .max_context = 4096};
  EXPECT_EQ(backend->reserve_bytes(limits), cuda_workspace(limits, card.num_sms).total());
  EXPECT_EQ(create_planning_backend(card_of_memory(1))->memory().available_bytes, 0U);
}

// Whatever this machine has, the account of it is one of the two kinds.
TEST(CudaProbe, SaysWhatThereIsOrWhyNot) {
  const CudaProbe probe = probe_cuda();
  EXPECT_EQ(probe.devices.empty(), !probe.error.empty());
  EXPECT_TRUE(probe.has_driver || probe.error.find("libcuda") != std::string::npos) << probe.error;
  for (const ProbedCudaDevice& device : probe.devices) {
    EXPECT_FALSE(device.name.empty());
    EXPECT_GT(device.total_bytes, size_t{1} << 30U);
    EXPECT_GE(device.major, 3);
  }
}

}  // namespace
}  // namespace pegainfer

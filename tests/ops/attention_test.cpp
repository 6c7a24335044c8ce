#include <gtest/gtest.h>

#include "ops/machine.h"
#include "ops/paged_batch.h"

namespace pegainfer::testing {
namespace {

Matrix attend(Ops& ops, PagedBatch& batch) {
  Matrix out(batch.shape().dtype, batch.q_matrix().rows(), batch.q_matrix().cols());
  batch.store_all(ops);
  ops.paged_attention(batch.q(), batch.shape().params(), batch.view(), out);
  return out;
}

struct Case {
  cpu::Isa isa;
  DType dtype;
  DType kv_dtype;
};

class AttentionTest : public ::testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Backend> backend_ = checked_cpu(GetParam().isa);
  AttentionShape shape(int heads, int kv_heads, int head_dim, int block_size = 16, int window = 0) {
    return {heads, kv_heads, head_dim, block_size, window, GetParam().dtype, GetParam().kv_dtype};
  }
  void expect_close(const AttentionShape& s, const std::vector<SequenceSpec>& sequences) {
    PagedBatch batch(s, sequences);
    const Distance d = distance(attend(backend_->ops(), batch), batch.reference());
    EXPECT_TRUE(close_enough(d, s.dtype))
        << "heads " << s.heads << "/" << s.kv_heads << " head_dim " << s.head_dim << " block " << s.block_size
        << " window " << s.window << ": nmse " << d.nmse << " p99 " << d.p99 << " worst " << d.worst;
  }
};

TEST_P(AttentionTest, HeadShapes) {
  for (const int head_dim : {2, 6, 16, 20, 64, 80, 128, 256}) {
    expect_close(shape(3, 1, head_dim), {{1, 50, 50}});
  }
  for (const auto& [heads, kv_heads] :
       std::vector<std::pair<int, int>>{{1, 1}, {4, 4}, {6, 2}, {5, 1}, {16, 2}, {31, 1}}) {
    expect_close(shape(heads, kv_heads, 32), {{1, 40, 40}, {2, 20, 1}});
  }
}

TEST_P(AttentionTest, ContextsAndMixes) {
  for (const int context : {1, 2, 15, 16, 17, 255, 256, 257, 511, 700}) {
    expect_close(shape(3, 1, 64), {{7, context, 1}});
  }
  expect_close(shape(9, 3, 64, 32), {{1, 1, 1}, {2, 300, 1}, {3, 70, 70}, {4, 513, 100}, {5, 40, 3}});
}

TEST_P(AttentionTest, Windows) {
  for (const int window : {1, 3, 16, 100, 256, 300}) {
    expect_close(shape(2, 1, 32, 16, window), {{1, 600, 1}, {2, 300, 290}, {3, 5, 5}});
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const cpu::Isa isa : available_isas()) {
    all.push_back({isa, DType::kBF16, DType::kBF16});
    all.push_back({isa, DType::kBF16, DType::kF32});
    all.push_back({isa, DType::kF32, DType::kBF16});
    all.push_back({isa, DType::kF32, DType::kF32});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cpu, AttentionTest, ::testing::ValuesIn(cases()), [](const auto& c) {
  return name_of_case(c.param.isa, c.param.dtype) + (c.param.kv_dtype == DType::kBF16 ? "_kv16" : "_kv32");
});

}  // namespace
}  // namespace pegainfer::testing

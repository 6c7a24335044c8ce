// A row's result depends on that row alone: not on its batch-mates, on how its prompt was cut into chunks, on
// which blocks hold its keys, nor on the number of threads. Compared bit by bit.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "backend/cpu/attention_plan.h"
#include "ops/machine.h"
#include "ops/paged_batch.h"

namespace pegainfer::testing {
namespace {

using Bits = std::vector<std::byte>;

struct Case {
  cpu::Isa isa;
  DType dtype;
};

class BitsTest : public ::testing::TestWithParam<Case> {
 protected:
  AttentionShape shape(int window = 0) {
    return {.heads = 9,
            .kv_heads = 3,
            .head_dim = 64,
            .block_size = 16,
            .window = window,
            .dtype = GetParam().dtype,
            .kv_dtype = GetParam().dtype};
  }
  std::unique_ptr<Backend> backend(int threads) { return checked_cpu(GetParam().isa, threads); }
};

// Attention rows of a batch by (sequence id, position).
using RowsByPosition = std::map<std::pair<uint64_t, int>, Bits>;

void attend_into(Ops& ops, PagedBatch& batch, RowsByPosition& rows) {
  Matrix out(batch.shape().dtype, batch.q_matrix().rows(), batch.q_matrix().cols());
  batch.store_all(ops);
  ops.paged_attention(batch.q(), batch.shape().params(), batch.view(), out);
  int64_t row = 0;
  for (const SequenceSpec& s : batch.specs()) {
    for (int p = s.context - s.queries; p < s.context; ++p) rows[{s.id, p}] = out.row_bytes(row++);
  }
}

// The whole prompt in one step, alone, on one thread.
RowsByPosition whole(Backend& backend, const AttentionShape& shape, uint64_t id, int context) {
  RowsByPosition rows;
  PagedBatch batch(shape, {{id, context, context}});
  attend_into(backend.ops(), batch, rows);
  return rows;
}

void expect_same(const RowsByPosition& got, const RowsByPosition& expected, const std::string& what) {
  for (const auto& [key, bits] : got) {
    ASSERT_EQ(bits, expected.at(key)) << what << ": sequence " << key.first << " position " << key.second;
  }
}

TEST_P(BitsTest, ChunkedPromptIsTheWholePrompt) {
  for (const int window : {0, 70}) {
    auto one = backend(1);
    auto two = backend(2);
    const RowsByPosition expected = whole(*one, shape(window), 5, 600);
    for (const int chunk : {1, 7, 16, 64, 255, 300}) {
      RowsByPosition rows;
      // Small chunks over everything would take long; the large ones cross the ends of partitions.
      const int from = std::max(0, 600 - 12 * chunk);
      for (int begin = from; begin < 600; begin += chunk) {
        const int end = std::min(600, begin + chunk);
        PagedBatch batch(shape(window), {{5, end, end - begin}}, static_cast<uint64_t>(begin));
        attend_into(two->ops(), batch, rows);
      }
      expect_same(rows, expected, fmt::format("chunks of {}, window {}", chunk, window));
    }
  }
}

TEST_P(BitsTest, BatchMatesAndBlocksDoNotMatter) {
  std::mt19937_64 random(3);
  const auto draw = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
  auto one = backend(1);
  auto three = backend(3);
  std::map<uint64_t, RowsByPosition> alone;
  for (uint64_t id = 1; id <= 4; ++id) alone[id] = whole(*one, shape(), id, 520);
  for (int round = 0; round < 10; ++round) {
    std::vector<SequenceSpec> sequences;
    for (uint64_t id = 1; id <= 4; ++id) {
      const int context = draw(1, 520);
      if (draw(0, 3) > 0) sequences.push_back({id, context, draw(0, 1) == 0 ? 1 : draw(1, context)});
    }
    if (sequences.empty()) continue;
    std::shuffle(sequences.begin(), sequences.end(), random);
    RowsByPosition rows;
    PagedBatch batch(shape(), sequences, static_cast<uint64_t>(round) + 100);
    attend_into(three->ops(), batch, rows);
    for (const auto& [key, bits] : rows) ASSERT_EQ(bits, alone[key.first].at(key)) << "round " << round;
  }
}

TEST_P(BitsTest, BlockSizeDoesNotMatter) {
  auto two = backend(2);
  const RowsByPosition expected = whole(*two, shape(), 8, 333);
  for (const int block_size : {32, 48, 256}) {
    AttentionShape s = shape();
    s.block_size = block_size;
    expect_same(whole(*two, s, 8, 333), expected, fmt::format("block_size {}", block_size));
  }
}

TEST_P(BitsTest, LongDecodeIsSplitOverThreadsWithoutATrace) {
  const std::vector<SequenceSpec> sequences{{1, 3000, 1}, {2, 40, 1}};
  RowsByPosition expected;
  for (const int threads : {1, 2, 5}) {
    auto b = backend(threads);
    PagedBatch batch(shape(), sequences);
    RowsByPosition rows;
    attend_into(b->ops(), batch, rows);
    if (threads == 1) expected = rows;
    expect_same(rows, expected, fmt::format("{} threads", threads));
  }
}

// A plan that may not split (no room for partials) and one that splits compute the same.
TEST_P(BitsTest, PlansWithAndWithoutSplitting) {
  auto b = backend(1);
  PagedBatch batch(shape(), {{1, 2000, 1}, {2, 300, 20}, {3, 5, 0}});
  RowsByPosition expected;
  attend_into(b->ops(), batch, expected);
  for (const size_t room : {size_t{0}, size_t{1} << 20U}) {
    const BatchView view = batch.view();
    std::vector<std::byte> memory(AttentionPlan::bytes(view.num_seqs));
    const AttentionPlan plan(batch.shape().params(), view, 4, room, memory.data());
    EXPECT_EQ(plan.num_merges() > 0, room > 0);
    Matrix out(batch.shape().dtype, batch.q_matrix().rows(), batch.q_matrix().cols());
    const cpu::AttentionCall call{.q = batch.q(),
                                  .out = out,
                                  .kv = {.data = view.kv.data,
                                         .bytes_per_block = view.kv.bytes_per_block(),
                                         .dtype = view.kv.dtype,
                                         .block_size = view.kv.block_size,
                                         .num_kv_heads = view.kv.num_kv_heads,
                                         .head_dim = view.kv.head_dim},
                                  .scale = batch.shape().params().scale};
    const cpu::AttentionKernels& kernels = cpu::attention_kernels(GetParam().isa);
    std::vector<float> partials(plan.num_partials());
    for (int64_t i = plan.num_tasks() - 1; i >= 0; --i) plan.run_task(kernels, call, i, partials.data());
    for (int64_t i = 0; i < plan.num_merges(); ++i) plan.run_merge(kernels, call, i, partials.data());
    int64_t row = 0;
    for (const SequenceSpec& s : batch.specs()) {
      for (int p = s.context - s.queries; p < s.context; ++p)
        ASSERT_EQ(out.row_bytes(row++), expected.at({s.id, p}));
    }
  }
}

TEST_P(BitsTest, RowOpsAloneAndTogether) {
  constexpr int64_t kRows = 300;
  constexpr int64_t kCols = 576;
  auto two = backend(2);
  Ops& ops = two->ops();
  const DType dtype = GetParam().dtype;
  Matrix x(dtype, kRows, kCols);
  Matrix delta(dtype, kRows, kCols);
  Matrix gate_up(dtype, kRows, 2 * kCols);
  Matrix weight(DType::kF32, 1, kCols);
  fill_noise(x, 1);
  fill_noise(delta, 2);
  fill_noise(gate_up, 3, 4);
  fill_noise(weight, 4);
  Matrix sum = x;
  Matrix norm(dtype, kRows, kCols);
  Matrix product(dtype, kRows, kCols);
  ops.add(sum, delta);
  ops.rms_norm(sum, weight, 1e-5F, norm);
  ops.silu_mul(gate_up, product);
  for (int64_t r = 0; r < kRows; r += 13) {
    Matrix alone(dtype, 1, kCols);
    ops.add(x.tensor().slice_rows(r, 1), delta.tensor().slice_rows(r, 1));
    ops.rms_norm(x.tensor().slice_rows(r, 1), weight, 1e-5F, alone);
    EXPECT_EQ(alone.row_bytes(0), norm.row_bytes(r));
    ops.silu_mul(gate_up.tensor().slice_rows(r, 1), alone);
    EXPECT_EQ(alone.row_bytes(0), product.row_bytes(r));
  }
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const cpu::Isa isa : available_isas()) {
    all.push_back({isa, DType::kBF16});
    all.push_back({isa, DType::kF32});
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Cpu, BitsTest, ::testing::ValuesIn(cases()),
                         [](const auto& c) { return name_of_case(c.param.isa, c.param.dtype); });

}  // namespace
}  // namespace pegainfer::testing

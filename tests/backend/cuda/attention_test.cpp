#include <gtest/gtest.h>

#include <utility>

#include "backend/cuda/machine.h"
#include "kernels/cuda/attention/prefill.h"
#include "kernels/cuda/attention/splits.h"
#include "ops/paged_batch.h"

namespace pegainfer::testing {
namespace {

using cuda::ContextTiles;
using cuda::SplitRule;

// Keys and values of every position as the CUDA cache holds them: [K, V][kv_heads][block_size][head_dim].
void store_all(PagedBatch& batch, int layer = 0) {
  const BatchView view = batch.view();
  const KvCacheView& kv = view.kv;
  for (size_t s = 0; s < batch.specs().size(); ++s) {
    const SequenceSpec& spec = batch.specs()[s];
    const int* table = view.block_table.row<int>(static_cast<int64_t>(s));
    for (int p = 0; p < spec.context; ++p) {
      std::byte* block = kv.block(layer, table[p / kv.block_size]);
      for (int64_t c = 0; c < int64_t{kv.num_kv_heads} * kv.head_dim; ++c) {
        const int64_t head = c / kv.head_dim;
        const auto at =
            static_cast<size_t>((head * kv.block_size + p % kv.block_size) * kv.head_dim + c % kv.head_dim);
        const size_t v_offset = kv.bytes_per_block() / size_of(kv.dtype) / 2;
        const auto write = [&](size_t index, double value) {
          const auto f = static_cast<float>(value);
          if (kv.dtype == DType::kF32) {
            std::memcpy(block + index * sizeof(f), &f, sizeof(f));
          } else {
            const uint16_t half = f32_to_bf16(f);
            std::memcpy(block + index * sizeof(half), &half, sizeof(half));
          }
        };
        write(at, batch.key(spec.id, p, c));
        write(at + v_offset, batch.value(spec.id, p, c));
      }
    }
  }
}

// Against double. Where tensor cores take probabilities rounded to BF16 (prefill) each is off by up to 2^-8
// of itself, evenly, so by a variance of at most 2^-16 / 3; over values of any sign that is 5e-6 of the
// output's power.
bool close_to_double(const Distance& d, const AttentionShape& s, bool prefill) {
  const bool rounds = prefill && s.dtype == DType::kBF16 && s.kv_dtype == DType::kBF16;
  return rounds ? d.nmse <= 7e-6 && d.p99 <= 1.5e-2 && d.worst <= 5e-2 : close_enough(d, s.dtype);
}

class CudaAttentionTest : public CudaTest {
 protected:
  static Matrix attend(PagedBatch& batch, int64_t stride = 0) {
    Matrix out(batch.shape().dtype, batch.q_matrix().rows(), batch.q_matrix().cols(), stride);
    out.fill(NAN);
    store_all(batch);
    machine().ops->paged_attention(batch.q(), batch.shape().params(), batch.view(), out);
    return out;
  }
  static void expect_close(const AttentionShape& s, const std::vector<SequenceSpec>& sequences) {
    PagedBatch batch(s, sequences);
    const Distance d = distance(attend(batch), batch.reference());
    bool prefill = false;
    for (const SequenceSpec& q : sequences) prefill |= q.queries > 1;
    EXPECT_TRUE(close_to_double(d, s, prefill))
        << "heads " << s.heads << "/" << s.kv_heads << " head_dim " << s.head_dim << " block " << s.block_size
        << " window " << s.window << " context " << sequences[0].context << " queries "
        << sequences[0].queries << " of " << sequences.size() << ": nmse " << d.nmse << " p99 " << d.p99
        << " worst " << d.worst;
  }
};

TEST_F(CudaAttentionTest, DecodeHeadSizesAndGroups) {
  for (const int head_dim : {64, 80, 96, 128, 256}) {
    for (const auto& [heads, kv_heads] : std::vector<std::pair<int, int>>{{4, 2}, {8, 1}, {3, 3}}) {
      expect_close({heads, kv_heads, head_dim}, {{1, 50, 1}, {2, 1, 1}, {3, 131, 1}});
    }
  }
  for (const int heads : {1, 5, 7, 9, 16, 31}) expect_close({heads, 1, 64}, {{1, 90, 1}, {2, 17, 1}});
}

TEST_F(CudaAttentionTest, DecodeContexts) {
  for (const int context :
       {1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 700}) {
    expect_close({4, 1, 128}, {{7, context, 1}});
    expect_close({4, 2, 64, 32}, {{7, context, 1}, {8, 3, 1}, {9, 400, 1}});
  }
}

TEST_F(CudaAttentionTest, DecodeLargeContextsInManySplits) {
  expect_close({4, 1, 128}, {{1, 5000, 1}});
  expect_close({8, 2, 64, 48}, {{1, 3000, 1}, {2, 8191, 1}, {3, 1, 1}});
  expect_close({2, 1, 256}, {{1, 2500, 1}});
  expect_close({4, 1, 80, 16, 2100}, {{1, 4500, 1}, {2, 2100, 1}, {3, 2101, 1}});
}

// More splits than CTAs at once, so that items are taken by whoever is free.
TEST_F(CudaAttentionTest, DecodeManyItems) {
  for (const int context : {1, 16, 17, 64, 65, 257, 700, 3000}) expect_close({80, 80, 64}, {{7, context, 1}});
  expect_close({136, 68, 128}, {{1, 900, 1}, {2, 1, 1}});
  expect_close({32, 16, 64, 32}, {{1, 3000, 1}, {2, 1, 1}, {3, 500, 1}, {4, 64, 1}, {5, 1700, 1}});
  expect_close({80, 80, 80, 16, 300}, {{1, 900, 1}, {2, 299, 1}});
  expect_close({70, 70, 96}, {{1, 700, 1}});
  expect_close({70, 70, 256}, {{1, 400, 1}});
  expect_close({160, 16, 64}, {{1, 300, 1}, {2, 30, 1}, {3, 200, 1}});
}

TEST_F(CudaAttentionTest, DecodeWindows) {
  for (const int window : {1, 3, 15, 16, 17, 100, 256, 300}) {
    expect_close({2, 1, 64, 16, window}, {{1, 600, 1}, {2, 300, 1}, {3, 5, 1}, {4, 16, 1}, {5, 17, 1}});
    expect_close({4, 1, 128, 16, window}, {{1, 301, 1}});
  }
}

TEST_F(CudaAttentionTest, PrefillHeadSizesAndGroups) {
  for (const int head_dim : {64, 80, 96, 128, 256}) {
    for (const auto& [heads, kv_heads] : std::vector<std::pair<int, int>>{{4, 2}, {8, 1}, {3, 3}, {3, 1}}) {
      expect_close({heads, kv_heads, head_dim}, {{1, 75, 75}, {2, 2, 2}});
    }
  }
  for (const int heads : {1, 5, 16, 31}) expect_close({heads, 1, 128}, {{1, 40, 40}, {2, 90, 33}});
}

TEST_F(CudaAttentionTest, PrefillContexts) {
  for (const int context : {2, 15, 16, 17, 32, 33, 63, 64, 65, 127, 128, 129, 130, 200}) {
    for (const int head_dim : {64, 128}) {
      expect_close({2, 1, head_dim}, {{7, context, context}});
      expect_close({2, 1, head_dim, 32}, {{7, context, 2}, {8, 300, 20}});
    }
  }
}

TEST_F(CudaAttentionTest, PrefillLargeContexts) {
  for (const int head_dim : {64, 128}) {
    expect_close({2, 1, head_dim}, {{1, 700, 700}});
    expect_close({2, 2, head_dim, 64}, {{1, 1300, 150}, {2, 900, 2}, {3, 600, 140}});
  }
  expect_close({2, 1, 96}, {{1, 500, 300}});
}

TEST_F(CudaAttentionTest, PrefillWindows) {
  for (const int window : {1, 3, 16, 100, 128, 129, 300}) {
    for (const int head_dim : {64, 80, 128}) {
      expect_close({2, 1, head_dim, 16, window}, {{1, 300, 290}, {2, 5, 5}, {3, 400, 30}});
    }
  }
}

// What other cards take where this one has something faster.
TEST_F(CudaAttentionTest, PrefillWithoutHopper) {
  for (const int head_dim : {64, 128}) {
    for (const int window : {0, 100}) {
      const AttentionShape s{6, 2, head_dim, 32, window};
      PagedBatch batch(s, {{1, 300, 150}, {2, 65, 65}, {3, 2, 2}});
      store_all(batch);
      Matrix out(s.dtype, batch.q_matrix().rows(), batch.q_matrix().cols());
      out.fill(NAN);
      Mirror mirror(*machine().context);
      BatchView view = batch.view();
      Tensor q = batch.q();
      Tensor result = out;
      mirror.add(view), mirror.add(q), mirror.add(result, true);
      mirror.to_device();
      const cuda::PagedAttention p{.q = q.data,
                                   .out = result.data,
                                   .q_stride = q.row_stride,
                                   .out_stride = result.row_stride,
                                   .query_start = static_cast<const int*>(view.query_start.data),
                                   .context_len = static_cast<const int*>(view.context_len.data),
                                   .block_table = static_cast<const int*>(view.block_table.data),
                                   .table_stride = view.block_table.row_stride,
                                   .kv = view.kv.data,
                                   .num_blocks = view.kv.num_blocks,
                                   .block_size = view.kv.block_size,
                                   .num_seqs = view.num_seqs,
                                   .num_tokens = view.num_tokens,
                                   .num_heads = s.heads,
                                   .num_kv_heads = s.kv_heads,
                                   .head_dim = s.head_dim,
                                   .window = s.window,
                                   .scale = s.params().scale};
      ASSERT_EQ(cuda::prefill_mma(p, machine().context->stream()), cudaSuccess);
      mirror.to_host();
      const Distance d = distance(out, batch.reference());
      EXPECT_TRUE(close_to_double(d, s, true))
          << head_dim << " " << window << ": nmse " << d.nmse << " p99 " << d.p99 << " worst " << d.worst;
    }
  }
}

TEST_F(CudaAttentionTest, DecodeAndPrefillInOneBatch) {
  for (const int head_dim : {64, 128}) {
    for (const int window : {0, 90}) {
      expect_close({6, 3, head_dim, 32, window},
                   {{1, 1, 1}, {2, 300, 1}, {3, 70, 70}, {4, 513, 100}, {5, 40, 3}, {6, 258, 1}});
    }
  }
}

TEST_F(CudaAttentionTest, AnyHeadSizeAndDtype) {
  for (const DType dtype : {DType::kF32, DType::kBF16}) {
    for (const DType kv_dtype : {DType::kF32, DType::kBF16}) {
      for (const int head_dim : {2, 6, 20, 33, 64, 128, 200}) {
        expect_close({3, 1, head_dim, 16, 0, dtype, kv_dtype}, {{1, 50, 20}, {2, 300, 1}, {3, 1, 1}});
      }
      expect_close({8, 2, 64, 32, 70, dtype, kv_dtype}, {{1, 150, 50}, {2, 300, 1}});
    }
  }
}

// Query rows as slices of a wider tensor, at every alignment.
TEST_F(CudaAttentionTest, SlicesOfWiderRows) {
  for (const int offset : {0, 8, 1, 2}) {
    PagedBatch batch({4, 2, 64}, {{1, 90, 1}, {2, 50, 30}});
    const int64_t cols = batch.q_matrix().cols();
    Matrix wide(DType::kBF16, batch.q_matrix().rows(), cols + 16);
    wide.fill(NAN);
    for (int64_t r = 0; r < wide.rows(); ++r) {
      for (int64_t c = 0; c < cols; ++c) wide.set(r, c + offset, batch.q_matrix().at(r, c));
    }
    Matrix wide_out(DType::kBF16, wide.rows(), cols + 24);
    wide_out.fill(7);
    store_all(batch);
    machine().ops->paged_attention(wide.tensor().slice_cols(offset, cols), batch.shape().params(),
                                   batch.view(), wide_out.tensor().slice_cols(8, cols));
    Matrix out(DType::kBF16, wide.rows(), cols);
    for (int64_t r = 0; r < out.rows(); ++r) {
      for (int64_t c = 0; c < 8; ++c) EXPECT_EQ(wide_out.at(r, c), 7);
      for (int64_t c = 0; c < cols; ++c) out.set(r, c, wide_out.at(r, c + 8));
      for (int64_t c = cols + 8; c < cols + 24; ++c) EXPECT_EQ(wide_out.at(r, c), 7);
    }
    EXPECT_TRUE(close_to_double(distance(out, batch.reference()), batch.shape(), true)) << offset;
  }
}

// Rows that pad a bucket: one query token, no context.
TEST_F(CudaAttentionTest, NoContextGivesZeros) {
  for (const AttentionShape& s : {AttentionShape{4, 2, 128}, AttentionShape{80, 80, 64},
                                  AttentionShape{4, 2, 128, 16, 0, DType::kF32, DType::kF32}}) {
    PagedBatch batch(s, {{1, 200, 1}, {2, 1, 1}, {3, 1, 1}});
    const Matrix expected = attend(batch);
    for (const int row : {1, 2}) *batch.view().context_len.row<int>(row) = 0;
    const Matrix out = attend(batch);
    EXPECT_EQ(out.row_bytes(0), expected.row_bytes(0));
    for (int64_t c = 0; c < out.cols(); ++c) {
      EXPECT_EQ(out.at(1, c), 0);
      EXPECT_EQ(out.at(2, c), 0);
    }
  }
}

TEST_F(CudaAttentionTest, ANaNStaysInItsRow) {
  PagedBatch batch({4, 2, 128}, {{1, 200, 1}, {2, 300, 1}, {3, 40, 20}, {4, 50, 10}});
  const Matrix expected = attend(batch);
  batch.q_matrix().set(0, 3, NAN);
  batch.q_matrix().set(5, 3, NAN);
  const Matrix out = attend(batch);
  for (int64_t r = 0; r < out.rows(); ++r) {
    if (r == 0 || r == 5) {
      EXPECT_TRUE(std::isnan(out.at(r, 0)));
    } else {
      EXPECT_EQ(out.row_bytes(r), expected.row_bytes(r)) << r;
    }
  }
}

// Within one number of sequences a decoding row is its own: whoever is beside it, wherever it stands,
// whatever blocks it has, whatever else the step computes.
TEST_F(CudaAttentionTest, DecodeRowsDependOnThemselvesAlone) {
  for (const AttentionShape& s :
       {AttentionShape{8, 2, 128}, AttentionShape{9, 1, 64, 32, 333}, AttentionShape{40, 40, 64}}) {
    PagedBatch first(s, {{1, 777, 1}, {2, 5, 1}, {3, 2000, 1}, {4, 64, 1}}, 1);
    PagedBatch second(s, {{5, 1, 1}, {3, 2000, 1}, {6, 3001, 1}, {1, 777, 1}}, 2);
    PagedBatch mixed(s, {{1, 777, 1}, {7, 60, 60}, {8, 300, 2}, {3, 2000, 1}}, 3);
    const Matrix a = attend(first);
    const Matrix b = attend(second);
    const Matrix c = attend(mixed);
    EXPECT_EQ(a.row_bytes(0), b.row_bytes(3));
    EXPECT_EQ(a.row_bytes(2), b.row_bytes(1));
    EXPECT_EQ(a.row_bytes(0), c.row_bytes(0));
    EXPECT_EQ(a.row_bytes(2), c.row_bytes(63));
    const Matrix again = attend(first);
    for (int64_t r = 0; r < a.rows(); ++r) EXPECT_EQ(a.row_bytes(r), again.row_bytes(r));
  }
}

// A prefilled row is its own in any batch, and however its prompt was cut (into chunks of more than one
// token).
TEST_F(CudaAttentionTest, PrefillRowsDependOnThemselvesAlone) {
  for (const AttentionShape& s : {AttentionShape{8, 2, 128}, AttentionShape{3, 1, 64, 32},
                                  AttentionShape{3, 1, 80}, AttentionShape{4, 2, 128, 16, 70}}) {
    PagedBatch whole(s, {{1, 260, 260}}, 1);
    PagedBatch chunk(s, {{2, 40, 1}, {1, 260, 97}, {3, 50, 50}}, 2);
    PagedBatch early(s, {{3, 7, 7}, {1, 163, 150}}, 3);
    const Matrix a = attend(whole);
    const Matrix b = attend(chunk);
    const Matrix c = attend(early);
    for (int64_t r = 0; r < 97; ++r) EXPECT_EQ(a.row_bytes(163 + r), b.row_bytes(1 + r)) << r;
    for (int64_t r = 0; r < 150; ++r) EXPECT_EQ(a.row_bytes(13 + r), c.row_bytes(7 + r)) << r;
  }
}

TEST_F(CudaAttentionTest, ManySequences) {
  std::vector<SequenceSpec> sequences;
  for (int i = 0; i < 300; ++i) sequences.push_back({static_cast<uint64_t>(i), 1 + i * 7 % 90, 1});
  expect_close({2, 1, 64}, sequences);
  for (int i = 0; i < 300; i += 3)
    sequences[static_cast<size_t>(i)].queries = std::min(sequences[static_cast<size_t>(i)].context, 3);
  expect_close({2, 1, 64}, sequences);
}

// Norm, rotation, storing and attention as one op: outputs and cache to the bit as by the ops one after the
// other, whatever the newest position's place in the cache held.
class CudaHeadsAndAttentionTest : public CudaAttentionTest {
 protected:
  struct Setting {
    PagedBatch batch;
    Matrix qkv;
    Matrix q_norm;
    Matrix k_norm;
    Matrix table;
    Matrix out;

    Setting(const AttentionShape& s, const std::vector<SequenceSpec>& sequences)
        : batch(s, sequences),
          qkv(s.dtype, batch.q_matrix().rows(), int64_t{s.heads + 2 * s.kv_heads} * s.head_dim),
          q_norm(DType::kF32, 1, s.head_dim),
          k_norm(DType::kF32, 1, s.head_dim),
          table(DType::kF32, qkv.rows(), s.head_dim),
          out(s.dtype, qkv.rows(), int64_t{s.heads} * s.head_dim) {
      store_all(batch);
      const auto fill = [](Matrix& m, uint64_t id, double scale, double shift) {
        for (int64_t r = 0; r < m.rows(); ++r) {
          for (int64_t c = 0; c < m.cols(); ++c)
            m.set(r, c,
                  shift + scale * noise(id, kQuery, static_cast<uint64_t>(r), static_cast<uint64_t>(c)));
        }
      };
      fill(qkv, 90, 3, 0.1), fill(q_norm, 91, 1, 1), fill(k_norm, 92, 1, 1), fill(table, 93, 1, 0);
      out.fill(NAN);
    }
    Tensor columns(int64_t first, int64_t heads) {
      const int64_t d = batch.shape().head_dim;
      return qkv.tensor().slice_cols(first * d, heads * d);
    }
    void run(bool fused, bool norm) {
      const AttentionShape& s = batch.shape();
      const Tensor q = columns(0, s.heads);
      const Tensor k = columns(s.heads, s.kv_heads);
      const Tensor v = columns(s.heads + s.kv_heads, s.kv_heads);
      const QkNormRope rope{.q_norm = norm ? q_norm.tensor() : Tensor{},
                            .k_norm = norm ? k_norm.tensor() : Tensor{},
                            .eps = 1e-6F,
                            .table = table};
      if (fused)
        machine().ops->attention(q, k, v, rope, s.params(), batch.view(), out);
      else
        machine().ops->Ops::attention(q, k, v, rope, s.params(), batch.view(), out);
    }
    std::string cache() {
      const KvCacheView kv = batch.view().kv;
      return {reinterpret_cast<const char*>(kv.data),
              static_cast<size_t>(kv.num_layers) * static_cast<size_t>(kv.num_blocks) * kv.bytes_per_block()};
    }
  };
  static void expect_same(const AttentionShape& s, const std::vector<SequenceSpec>& sequences) {
    for (const bool norm : {true, false}) {
      Setting fused(s, sequences);
      Setting parts(s, sequences);
      const std::string before = fused.cache();
      fused.run(true, norm);
      parts.run(false, norm);
      for (int64_t r = 0; r < fused.out.rows(); ++r)
        EXPECT_EQ(fused.out.row_bytes(r), parts.out.row_bytes(r))
            << s.heads << "/" << s.kv_heads << " of " << s.head_dim << " window " << s.window << " context "
            << sequences[0].context << " row " << r;
      EXPECT_NE(fused.cache(), before);
      EXPECT_TRUE(fused.cache() == parts.cache())
          << s.heads << "/" << s.kv_heads << " of " << s.head_dim << " context " << sequences[0].context;
    }
  }
};

TEST_F(CudaHeadsAndAttentionTest, ToTheBitAsOneByOne) {
  for (const int head_dim : {64, 96, 128, 256}) {
    for (const auto& [heads, kv_heads] : std::vector<std::pair<int, int>>{{4, 1}, {3, 3}, {12, 1}, {8, 1}})
      expect_same({heads, kv_heads, head_dim, 32}, {{1, 50, 1}, {2, 1, 1}, {3, 131, 1}, {4, 64, 1}});
  }
  for (const int context : {1, 2, 15, 16, 17, 32, 33, 48, 63, 64, 65, 80, 129, 256, 257, 700})
    expect_same({4, 1, 128}, {{7, context, 1}, {8, 400, 1}});
  expect_same({4, 1, 128}, {{7, 700, 1}});
  expect_same({8, 2, 64, 16, 20}, {{1, 300, 1}, {2, 5, 1}, {3, 16, 1}});
  expect_same({60, 60, 64}, {{1, 700, 1}, {2, 300, 1}});  // more splits than CTAs
  expect_same({80, 80, 64}, {{1, 300, 1}, {2, 700, 1}});
  expect_same({4, 2, 128}, {{1, 300, 1}, {2, 70, 70}, {3, 20, 1}});
  expect_same({4, 2, 128, 16, 0, DType::kF32, DType::kF32}, {{1, 30, 1}, {2, 20, 1}});
}

// One captured graph serves every context: lengths and tables are read on the device.
class CudaAttentionGraphTest : public CudaAttentionTest,
                               public ::testing::WithParamInterface<AttentionShape> {};

TEST_P(CudaAttentionGraphTest, ServesEveryContext) {
  const AttentionShape s = GetParam();
  CudaContext& context = *machine().context;
  PagedBatch batch(s, {{1, 1500, 1}, {2, 900, 1}, {3, 40, 1}});
  store_all(batch);
  Matrix out(s.dtype, 3, batch.q_matrix().cols());
  BatchView view = batch.view();
  Tensor q = batch.q();
  Tensor result = out;
  Mirror mirror(context);
  mirror.add(view), mirror.add(q), mirror.add(result, true);
  mirror.to_device();
  view.max_context_len = 1;  // a bucket knows nothing of contexts
  const auto enqueue = [&] {
    machine().device_ops->begin_step(view);
    machine().device_ops->paged_attention(q, s.params(), view, result);
  };
  enqueue();  // the scratch is there
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  ASSERT_EQ(cudaStreamBeginCapture(context.stream(), cudaStreamCaptureModeThreadLocal), cudaSuccess);
  enqueue();
  ASSERT_EQ(cudaStreamEndCapture(context.stream(), &graph), cudaSuccess);
  ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
  for (const std::vector<int>& contexts :
       std::vector<std::vector<int>>{{1500, 900, 40}, {1, 2, 0}, {64, 899, 17}}) {
    ASSERT_EQ(cudaMemcpyAsync(view.context_len.data, contexts.data(), 3 * sizeof(int), cudaMemcpyHostToDevice,
                              context.stream()),
              cudaSuccess);
    for (int i = 0; i < 3; ++i) ASSERT_EQ(cudaGraphLaunch(executable, context.stream()), cudaSuccess);
    mirror.to_host();
    BatchView eager = batch.view();
    for (int i = 0; i < 3; ++i) *eager.context_len.row<int>(i) = contexts[static_cast<size_t>(i)];
    Matrix expected(s.dtype, 3, out.cols());
    machine().ops->paged_attention(batch.q(), s.params(), eager, expected);
    for (int i = 0; i < 3; ++i)
      EXPECT_EQ(out.row_bytes(i), expected.row_bytes(i)) << contexts[static_cast<size_t>(i)];
  }
  cudaGraphExecDestroy(executable);
  cudaGraphDestroy(graph);
}

INSTANTIATE_TEST_SUITE_P(Paths, CudaAttentionGraphTest,
                         ::testing::Values(AttentionShape{8, 2, 128}, AttentionShape{80, 80, 64},
                                           AttentionShape{80, 80, 64, 16, 200}));

// --- On the host.

TEST(CudaAttentionSplits, CoverTheContextOnce) {
  for (const int num_seqs : {1, 2, 8, 64, 256, 3000}) {
    for (const int window : {0, 1, 100, 4096}) {
      for (const int context : {0, 1, 16, 17, 64, 65, 1000, 1024, 4097, 65536, 1000000}) {
        const SplitRule rule{.num_seqs = num_seqs, .num_kv_heads = 8, .num_sms = 132, .window = window};
        const ContextTiles tiles = cuda::seen_tiles(context, window);
        const int splits = cuda::num_splits(context, rule);
        ASSERT_GE(splits, 1);
        ASSERT_LE(splits, cuda::max_splits(num_seqs));
        EXPECT_EQ(cuda::split_begin(tiles, 0, splits), tiles.begin);
        EXPECT_EQ(cuda::split_begin(tiles, splits, splits), tiles.end);
        for (int i = 0; i < splits && context > 0; ++i)
          EXPECT_LT(cuda::split_begin(tiles, i, splits), cuda::split_begin(tiles, i + 1, splits));
        if (context > 0) {
          EXPECT_EQ(tiles.begin, window > 0 ? std::max(0, context - window) / 16 : 0);
          EXPECT_EQ(tiles.end, (context + 15) / 16);
        }
      }
    }
  }
}

// A few positions more are not a second round of all SMs.
TEST(CudaAttentionSplits, FillTheDeviceOnce) {
  const auto splits = [](int num_seqs, int context) {
    return cuda::num_splits(context, {.num_seqs = num_seqs, .num_kv_heads = 8, .num_sms = 132});
  };
  EXPECT_EQ(splits(1, 1024), 8);
  EXPECT_EQ(splits(32, 1024), 1);
  EXPECT_EQ(splits(32, 1040), 1);
  EXPECT_EQ(splits(32, 1536), 2);
  EXPECT_EQ(splits(64, 1536), 2);
  for (int num_seqs = 1; num_seqs <= 16; ++num_seqs) {
    const int slots = 132 * cuda::ctas_per_sm(128, num_seqs);
    const int longest = 1024 * (slots / (num_seqs * 8));  // beyond it a split would be too long
    for (int context = 512; context <= longest; context += 16)
      EXPECT_LE(num_seqs * 8 * splits(num_seqs, context), slots) << num_seqs << " x " << context;
  }
}

TEST(CudaAttentionSplits, ScratchIsBounded) {
  StepLimits limits{.max_seqs = 256, .num_heads = 32, .num_kv_heads = 8, .head_dim = 128};
  EXPECT_LE(cuda_workspace(limits, 132).attention, size_t{64} << 20U);
  for (int n = 1; n <= 256; ++n)
    EXPECT_LE(cuda::AttentionScratch::of(n, 32, 128).bytes, cuda_workspace(limits, 132).attention);
}

}  // namespace
}  // namespace pegainfer::testing

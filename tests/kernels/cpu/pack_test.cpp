#include "kernels/cpu/pack.h"

#include <cmath>
#include <fstream>
#include <iterator>

#include "kernels/cpu/embedding.h"
#include "quant_fixture.h"

namespace pegainfer::cpu {
namespace {

struct Vector {  // of data/quant_vectors.bin (tools/make_quant_vectors.py)
  std::string name;
  std::vector<std::byte> blocks;
  std::vector<float> values;
};

std::vector<Vector> read_vectors() {
  std::ifstream file(PEGA_SOURCE_DIR "/tests/kernels/cpu/data/quant_vectors.bin", std::ios::binary);
  const std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<Vector> vectors;
  for (size_t at = 0; at < bytes.size();) {
    Vector v;
    const auto length = static_cast<size_t>(bytes[at++]);
    v.name.assign(&bytes[at], length);
    at += length;
    uint32_t counts[2];
    std::memcpy(counts, &bytes[at], sizeof counts);
    at += sizeof counts;
    v.values.resize(counts[0]);
    v.blocks.resize(counts[1]);
    std::memcpy(v.blocks.data(), &bytes[at], v.blocks.size());
    at += v.blocks.size();
    std::memcpy(v.values.data(), &bytes[at], v.values.size() * sizeof(float));
    at += v.values.size() * sizeof(float);
    vectors.push_back(std::move(v));
  }
  return vectors;
}

TEST(Pack, DequantizesBitForBitAsGgufDoes) {
  const std::vector<Vector> vectors = read_vectors();
  size_t seen = 0;
  for (const WeightFormat f : all_formats()) {
    for (const Vector& v : vectors) {
      if (v.name != info_of(f).name) continue;
      ++seen;
      // All blocks as one row, and each as a row of its own.
      for (const int64_t rows :
           {int64_t{1}, static_cast<int64_t>(v.values.size()) / info_of(f).block_elements}) {
        const int64_t cols = static_cast<int64_t>(v.values.size()) / rows;
        const AlignedBytes packed(packed_bytes(f, rows, cols));
        pack_rows(f, rows, cols, packed.data.get(), 0, rows, v.blocks.data());
        std::vector<float> out(v.values.size());
        for (int64_t r = 0; r < rows; ++r)
          unpack_row(f, rows, cols, packed.data.get(), r, &out[static_cast<size_t>(r * cols)]);
        for (size_t i = 0; i < out.size(); ++i)
          ASSERT_EQ(out[i], v.values[i]) << v.name << " rows " << rows << " element " << i;
      }
    }
  }
  EXPECT_EQ(seen, 11U);  // every quantized format
}

class PackTest : public testing::TestWithParam<WeightFormat> {};
INSTANTIATE_TEST_SUITE_P(Formats, PackTest, testing::ValuesIn(all_formats()),
                         [](const auto& p) { return std::string(info_of(p.param).name); });

int64_t some_width(WeightFormat f) { return is_quantized(f) ? 768 : 301; }

TEST_P(PackTest, InPiecesIsAtOnce) {
  const WeightFormat f = GetParam();
  const int64_t rows = 150;
  const int64_t cols = some_width(f);
  const Matrix whole(f, rows, cols, 1);
  const size_t size = packed_bytes(f, rows, cols);
  const AlignedBytes pieces(size);
  std::memset(pieces.data.get(), 0xab, size);
  for (const int64_t begin : {int64_t{128}, int64_t{0}, int64_t{64}})
    pack_rows(f, rows, cols, pieces.data.get(), begin, std::min<int64_t>(64, rows - begin),
              whole.source.data() + static_cast<size_t>(begin) * row_bytes(f, cols));
  EXPECT_EQ(std::memcmp(pieces.data.get(), whole.packed.data.get(), size), 0);
}

TEST_P(PackTest, KeepsTheSize) {
  const WeightFormat f = GetParam();
  const double checkpoint = static_cast<double>(576 * row_bytes(f, 1536));
  const double packed = static_cast<double>(packed_bytes(f, 576, 1536));
  const bool widened = f == WeightFormat::kQ3_K || f == WeightFormat::kQ4_K || f == WeightFormat::kQ5_K;
  EXPECT_LE(packed, checkpoint * (widened ? 1.04 : 1.0));
  EXPECT_EQ(packed_bytes(f, 1, some_width(f)) % 64, 0U);
  EXPECT_EQ(packed_bytes(f, 17, some_width(f)), 2 * packed_bytes(f, 16, some_width(f)));
}

TEST_P(PackTest, AnyBitPatternIsSafe) {
  const WeightFormat f = GetParam();
  const int64_t cols = some_width(f);
  std::mt19937 rng(3);
  std::vector<std::byte> source(20 * row_bytes(f, cols));
  for (std::byte& b : source) b = static_cast<std::byte>(rng());
  const AlignedBytes packed(packed_bytes(f, 20, cols));
  pack_rows(f, 20, cols, packed.data.get(), 0, 20, source.data());
  std::vector<float> row(static_cast<size_t>(cols));
  for (int64_t r = 0; r < 20; ++r) unpack_row(f, 20, cols, packed.data.get(), r, row.data());
  std::fill(source.begin(), source.end(), std::byte{0xff});
  pack_rows(f, 20, cols, packed.data.get(), 0, 20, source.data());
  unpack_row(f, 20, cols, packed.data.get(), 19, row.data());
  EXPECT_TRUE(std::isnan(row[0]));  // the scale is
}

TEST_P(PackTest, EmbeddingRowsAreDequantizedRows) {
  const WeightFormat f = GetParam();
  const int64_t cols = some_width(f);
  const Matrix w(f, 37, cols, 4);
  std::vector<float> f32(static_cast<size_t>(cols));
  std::vector<uint16_t> half(f32.size());
  for (const int64_t r : {int64_t{0}, int64_t{15}, int64_t{16}, int64_t{36}}) {
    embedding_row(f, 37, cols, w.packed.data.get(), r, f32.data(), false);
    embedding_row(f, 37, cols, w.packed.data.get(), r, half.data(), true);
    for (size_t c = 0; c < f32.size(); ++c) {
      ASSERT_EQ(f32[c], w.dense[static_cast<size_t>(r * cols) + c]);
      ASSERT_EQ(half[c], f32_to_bf16(f32[c]));
    }
  }
}

TEST_P(PackTest, DenseRowsKeepTheirBits) {
  const WeightFormat f = GetParam();
  if (is_quantized(f)) return;  // the vectors above speak of those
  const Matrix w(f, 18, 301, 5);
  for (size_t i = 0; i < w.dense.size(); ++i) {
    const std::byte* at = &w.source[i * static_cast<size_t>(info_of(f).block_bytes)];
    uint16_t half;
    std::memcpy(&half, at, 2);
    float v = f == WeightFormat::kF16 ? f16_to_f32(half) : bf16_to_f32(half);
    if (f == WeightFormat::kF32) std::memcpy(&v, at, 4);
    ASSERT_EQ(w.dense[i], v);
  }
}

}  // namespace
}  // namespace pegainfer::cpu

// A ragged batch over a paged cache whose keys, values and queries are a function of (sequence, position)
// alone, so that the same sequence can be put into any batch, cut into any chunks and scattered over any
// blocks.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "backend/ops.h"
#include "ops/matrix.h"

namespace pegainfer::testing {

struct AttentionShape {
  int heads = 3;
  int kv_heads = 1;
  int head_dim = 64;
  int block_size = 16;
  int window = 0;
  DType dtype = DType::kBF16;
  DType kv_dtype = DType::kBF16;

  [[nodiscard]] AttentionParams params(int layer = 0) const {
    return {.layer = layer,
            .num_heads = heads,
            .num_kv_heads = kv_heads,
            .head_dim = head_dim,
            .scale = 1.0F / std::sqrt(static_cast<float>(head_dim)),
            .window = window};
  }
};

struct SequenceSpec {
  uint64_t id = 0;
  int context = 0;  // positions in the cache
  int queries = 0;  // the last of them
};

enum NoiseKind : uint64_t { kQuery, kKey, kValue };

class PagedBatch {
 public:
  // Blocks are handed out in an order drawn from `block_seed`; what is not written holds NaNs when `poison`.
  PagedBatch(const AttentionShape& shape, const std::vector<SequenceSpec>& sequences, uint64_t block_seed = 1,
             bool poison = true)
      : shape_(shape),
        specs_(sequences),
        q_(shape.dtype, count_queries(), int64_t{shape.heads} * shape.head_dim),
        slots_(DType::kI32, q_.rows(), 1),
        starts_(DType::kI32, static_cast<int64_t>(specs_.size()) + 1, 1),
        contexts_(DType::kI32, static_cast<int64_t>(specs_.size()), 1),
        table_(DType::kI32, static_cast<int64_t>(specs_.size()), max_blocks()) {
    make_cache(poison);
    hand_out_blocks(block_seed);
    int64_t row = 0;
    for (size_t s = 0; s < specs_.size(); ++s) {
      const auto at = static_cast<int64_t>(s);
      starts_.set(at, 0, static_cast<double>(row));
      contexts_.set(at, 0, specs_[s].context);
      for (int p = specs_[s].context - specs_[s].queries; p < specs_[s].context; ++p, ++row) {
        slots_.set(row, 0, slot(at, p));
        for (int64_t c = 0; c < q_.cols(); ++c) q_.set(row, c, query(specs_[s].id, p, c));
      }
    }
    starts_.set(static_cast<int64_t>(specs_.size()), 0, static_cast<double>(row));
  }

  [[nodiscard]] double query(uint64_t id, int position, int64_t column) const {
    return 2.0 * noise(id, kQuery, static_cast<uint64_t>(position), static_cast<uint64_t>(column));
  }
  // As the op is given them, before the cache rounds them.
  [[nodiscard]] double key(uint64_t id, int position, int64_t column) const {
    return materialised(3.0 * noise(id, kKey, static_cast<uint64_t>(position), static_cast<uint64_t>(column)),
                        shape_.dtype);
  }
  [[nodiscard]] double value(uint64_t id, int position, int64_t column) const {
    return materialised(noise(id, kValue, static_cast<uint64_t>(position), static_cast<uint64_t>(column)),
                        shape_.dtype);
  }

  [[nodiscard]] BatchView view() {
    return {.num_tokens = static_cast<int>(q_.rows()),
            .num_seqs = static_cast<int>(specs_.size()),
            .max_query_len = most(&SequenceSpec::queries),
            .max_context_len = most(&SequenceSpec::context),
            .slot_mapping = slots_,
            .query_start = starts_,
            .context_len = contexts_,
            .block_table = table_,
            .kv = cache_};
  }
  [[nodiscard]] Tensor q() { return q_; }
  [[nodiscard]] Matrix& q_matrix() { return q_; }
  [[nodiscard]] const std::vector<SequenceSpec>& specs() const { return specs_; }
  [[nodiscard]] const AttentionShape& shape() const { return shape_; }

  // Stores the keys and values of every position, as prompts of whole sequences would.
  void store_all(Ops& ops, int layer = 0) {
    for (size_t s = 0; s < specs_.size(); ++s) store(ops, s, 0, specs_[s].context, layer);
  }
  void store(Ops& ops, size_t sequence, int begin, int end, int layer = 0) {
    const int64_t cols = int64_t{shape_.kv_heads} * shape_.head_dim;
    Matrix k(shape_.dtype, end - begin, cols);
    Matrix v(shape_.dtype, end - begin, cols);
    Matrix slots(DType::kI32, end - begin, 1);
    for (int p = begin; p < end; ++p) {
      slots.set(p - begin, 0, slot(static_cast<int64_t>(sequence), p));
      for (int64_t c = 0; c < cols; ++c) {
        k.set(p - begin, c, key(specs_[sequence].id, p, c));
        v.set(p - begin, c, value(specs_[sequence].id, p, c));
      }
    }
    BatchView batch = view();
    batch.num_tokens = end - begin;
    batch.slot_mapping = slots;
    ops.store_kv(k, v, layer, batch);
  }

  // Attention in double over the values as the cache holds them; row 0 is the first query.
  [[nodiscard]] Matrix reference() const {
    Matrix out(shape_.dtype, q_.rows(), q_.cols());
    int64_t row = 0;
    for (const SequenceSpec& s : specs_) {
      for (int p = s.context - s.queries; p < s.context; ++p, ++row) {
        for (int h = 0; h < shape_.heads; ++h) reference_head(s.id, p, h, row, out);
      }
    }
    return out;
  }

 private:
  [[nodiscard]] int64_t count_queries() const {
    int64_t n = 0;
    for (const SequenceSpec& s : specs_) n += s.queries;
    return n;
  }
  [[nodiscard]] int most(int SequenceSpec::*field) const {
    int n = 0;
    for (const SequenceSpec& s : specs_) n = std::max(n, s.*field);
    return n;
  }
  [[nodiscard]] int64_t max_blocks() const {
    return std::max(1, (most(&SequenceSpec::context) + shape_.block_size - 1) / shape_.block_size);
  }
  [[nodiscard]] double slot(int64_t sequence, int position) const {
    return table_.at(sequence, position / shape_.block_size) * shape_.block_size +
           position % shape_.block_size;
  }

  void make_cache(bool poison) {
    cache_ = {.dtype = shape_.kv_dtype,
              .num_layers = 2,
              .num_blocks = 1 + static_cast<int>(specs_.size() * static_cast<size_t>(max_blocks())),
              .block_size = shape_.block_size,
              .num_kv_heads = shape_.kv_heads,
              .head_dim = shape_.head_dim};
    const size_t bytes = 2 * static_cast<size_t>(cache_.num_blocks) * cache_.bytes_per_block();
    memory_.assign(bytes + 64, poison ? std::byte{0xff} : std::byte{0});  // all ones is a NaN
    const auto address = reinterpret_cast<uintptr_t>(memory_.data());
    cache_.data = memory_.data() + (64 - address % 64) % 64;
  }
  void hand_out_blocks(uint64_t seed) {
    std::vector<int> blocks;
    for (int b = 1; b < cache_.num_blocks; ++b) blocks.push_back(b);
    std::mt19937_64 random(seed);
    std::shuffle(blocks.begin(), blocks.end(), random);
    size_t next = 0;
    for (size_t s = 0; s < specs_.size(); ++s) {
      const int needed = (specs_[s].context + shape_.block_size - 1) / shape_.block_size;
      for (int i = 0; i < needed; ++i) table_.set(static_cast<int64_t>(s), i, blocks[next++]);
    }
  }
  void reference_head(uint64_t id, int position, int head, int64_t row, Matrix& out) const {
    const int d = shape_.head_dim;
    const int kv = head / (shape_.heads / shape_.kv_heads);
    const int first = shape_.window > 0 ? std::max(0, position + 1 - shape_.window) : 0;
    const double scale = static_cast<double>(shape_.params().scale);
    std::vector<double> scores;
    double largest = -HUGE_VAL;
    for (int p = first; p <= position; ++p) {
      double dot = 0;
      for (int c = 0; c < d; ++c) {
        dot += q_.at(row, head * d + c) * materialised(key(id, p, kv * d + c), shape_.kv_dtype);
      }
      scores.push_back(dot * scale);
      largest = std::max(largest, scores.back());
    }
    double total = 0;
    for (double& s : scores) total += s = std::exp(s - largest);
    for (int c = 0; c < d; ++c) {
      double sum = 0;
      for (int p = first; p <= position; ++p) {
        sum +=
            scores[static_cast<size_t>(p - first)] * materialised(value(id, p, kv * d + c), shape_.kv_dtype);
      }
      out.set(row, head * d + c, sum / total);
    }
  }

  AttentionShape shape_;
  std::vector<SequenceSpec> specs_;
  Matrix q_;
  Matrix slots_;
  Matrix starts_;
  Matrix contexts_;
  Matrix table_;
  KvCacheView cache_;
  std::vector<std::byte> memory_;
};

}  // namespace pegainfer::testing

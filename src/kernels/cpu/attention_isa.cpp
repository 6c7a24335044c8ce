#include <limits>
#include <type_traits>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/vec.h"

namespace pegainfer::cpu::PEGA_ISA {
namespace {

constexpr int kKeys = kAttentionPartition;
constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

// Register tiles: rows of q times vectors of keys (scores), rows of probabilities times vectors of head_dim
// (values).
#if defined(PEGA_ISA_avx512)
constexpr int kScoreRows = 6, kScoreVecs = 4, kValueRows = 6, kValueVecs = 4;
#elif defined(PEGA_ISA_avx2)
constexpr int kScoreRows = 4, kScoreVecs = 2, kValueRows = 4, kValueVecs = 2;
#else
constexpr int kScoreRows = 2, kScoreVecs = 4, kValueRows = 2, kValueVecs = 4;
#endif
constexpr int kGroupVecs = kKvGroup / kLanes;  // vectors in 16 positions

// The keys of one partition that some row of a tile sees, and where their groups of 16 are.
template <class K>
struct PartitionKeys {
  int first = 0;  // absolute position of the partition
  int begin = 0;  // seen keys, relative to it
  int end = 0;
  const K* keys[kKeys / kKvGroup] = {};
  const K* values[kKeys / kKvGroup] = {};
};

struct RowRange {  // keys one row sees; none when begin >= end
  int begin;
  int end;
};

// In absolute positions.
PEGA_INLINE RowRange keys_of_row(const AttentionTile& tile, int row, int window) {
  const int end = tile.position + row / tile.heads + 1;
  return {window > 0 ? greater(0, end - window) : 0, end};
}

PEGA_INLINE RowRange keys_in_partition(RowRange keys, int first) {
  return {greater(keys.begin - first, 0), lesser(keys.end - first, kKeys)};
}

template <class K>
PartitionKeys<K> find_keys(const AttentionCall& call, const AttentionTile& tile, int partition) {
  const KvLayer& kv = call.kv;
  PartitionKeys<K> found;
  found.first = partition * kKeys;
  const int tile_begin = call.window > 0 ? greater(0, tile.position + 1 - call.window) : 0;
  found.begin = greater(tile_begin - found.first, 0);
  found.end = lesser(tile.position + tile.tokens - found.first, kKeys);
  const int64_t head_elements = static_cast<int64_t>(kv.block_size) * kv.head_dim;
  for (int g = found.begin / kKvGroup; g * kKvGroup < found.end; ++g) {
    const int position = found.first + g * kKvGroup;
    const auto block = static_cast<size_t>(tile.block_table[position / kv.block_size]);
    const K* data = reinterpret_cast<const K*>(kv.data + block * kv.bytes_per_block);
    found.keys[g] =
        data + tile.kv_head * head_elements + static_cast<int64_t>(position % kv.block_size) * kv.head_dim;
    found.values[g] = found.keys[g] + kv.num_kv_heads * head_elements;
  }
  return found;
}

// s[r][lane of v] = q[r] . key, F32 sums over head_dim in order. keys[v]: kLanes positions of one group.
template <int R, int V>
void score_block(const float* q, int head_dim, const uint16_t* const* keys, float* s) {
  Vf sums[R][V];
  PEGA_UNROLL for (int r = 0; r < R; ++r) PEGA_UNROLL for (int v = 0; v < V; ++v) sums[r][v] = broadcast(0);
  for (int d = 0; d < head_dim; d += 2) {
    PEGA_UNROLL for (int v = 0; v < V; ++v) {
      Vf even;
      Vf odd;
      load_pairs(keys[v] + d * kKvGroup, even, odd);
      PEGA_UNROLL for (int r = 0; r < R; ++r) {
        sums[r][v] = fma(broadcast(q[r * head_dim + d]), even, sums[r][v]);
        sums[r][v] = fma(broadcast(q[r * head_dim + d + 1]), odd, sums[r][v]);
      }
    }
  }
  PEGA_UNROLL for (int r = 0; r < R; ++r) PEGA_UNROLL for (int v = 0; v < V; ++v) {
    store(s + r * kKeys + v * kLanes, sums[r][v]);
  }
}

template <int R, int V>
void score_block(const float* q, int head_dim, const float* const* keys, float* s) {
  Vf sums[R][V];
  PEGA_UNROLL for (int r = 0; r < R; ++r) PEGA_UNROLL for (int v = 0; v < V; ++v) sums[r][v] = broadcast(0);
  for (int d = 0; d < head_dim; ++d) {
    PEGA_UNROLL for (int v = 0; v < V; ++v) {
      const Vf key = load(keys[v] + d * kKvGroup);
      PEGA_UNROLL for (int r = 0; r < R; ++r) {
        sums[r][v] = fma(broadcast(q[r * head_dim + d]), key, sums[r][v]);
      }
    }
  }
  PEGA_UNROLL for (int r = 0; r < R; ++r) PEGA_UNROLL for (int v = 0; v < V; ++v) {
    store(s + r * kKeys + v * kLanes, sums[r][v]);
  }
}

#ifdef PEGA_HAS_BF16_DOT
template <int R, int V>
void score_block(const uint16_t* q, int head_dim, const uint16_t* const* keys, float* s) {
  Vf sums[R][V];
  PEGA_UNROLL for (int r = 0; r < R; ++r) PEGA_UNROLL for (int v = 0; v < V; ++v) sums[r][v] = broadcast(0);
  for (int d = 0; d < head_dim; d += 2) {
    PEGA_UNROLL for (int v = 0; v < V; ++v) {
      const __m512i pairs = _mm512_loadu_si512(keys[v] + d * kKvGroup);
      PEGA_UNROLL for (int r = 0; r < R; ++r) sums[r][v] = dot_pairs(sums[r][v], q + r * head_dim + d, pairs);
    }
  }
  PEGA_UNROLL for (int r = 0; r < R; ++r) PEGA_UNROLL for (int v = 0; v < V; ++v) {
    store(s + r * kKeys + v * kLanes, sums[r][v]);
  }
}
#endif

// A decode step reads each key and value once, in pieces too short for the hardware to see a stream: ask for
// the values of `group` and the keys ahead of it while the scores are computed.
template <class K>
PEGA_INLINE void prefetch_group(const PartitionKeys<K>& keys, int group, int ahead, int last_group,
                                int head_dim) {
  const auto bytes = static_cast<int64_t>(sizeof(K)) * kKvGroup * head_dim;
  const auto* values = reinterpret_cast<const char*>(keys.values[group]);
  const auto* next = reinterpret_cast<const char*>(keys.keys[lesser(group + ahead, last_group)]);
  for (int64_t b = 0; b < bytes; b += 64) {
    __builtin_prefetch(values + b, 0, 2);
    __builtin_prefetch(next + b, 0, 2);
  }
}

// Scores of R rows over every seen group; up to kScoreVecs - 1 vectors beyond them get the last group's,
// unread.
template <int R, class Q, class K>
void score_rows(const Q* q, int head_dim, const PartitionKeys<K>& keys, bool prefetch, float* s) {
  const int group_begin = keys.begin / kKvGroup;
  const int last_group = (keys.end - 1) / kKvGroup;
  const int vec_begin = group_begin * kGroupVecs / kScoreVecs * kScoreVecs;
  for (int vec = vec_begin; vec <= last_group * kGroupVecs + kGroupVecs - 1; vec += kScoreVecs) {
    const K* pointers[kScoreVecs];
    for (int v = 0; v < kScoreVecs; ++v) {
      const int group = clamp((vec + v) / kGroupVecs, group_begin, last_group);
      if (prefetch && v % kGroupVecs == 0)
        prefetch_group(keys, group, 2 * kScoreVecs / kGroupVecs, last_group, head_dim);
      const int lanes = (vec + v) % kGroupVecs * kLanes;
      pointers[v] = keys.keys[group] + lanes * (sizeof(K) == 2 ? 2 : 1);
    }
    score_block<R, kScoreVecs>(q, head_dim, pointers, s + vec * kLanes);
  }
}

template <int R, class Q, class K>
void score_upto(int rows, const Q* q, int head_dim, const PartitionKeys<K>& keys, bool prefetch, float* s) {
  if (rows == R) {
    score_rows<R>(q, head_dim, keys, prefetch, s);
  } else if constexpr (R > 1) {
    score_upto<R - 1>(rows, q, head_dim, keys, prefetch, s);
  }
}

// Scores -> exponentials of scale * (score - maximum) in place over the tile's seen keys; what the row does
// not see becomes exactly zero. scale > 0.
PEGA_INLINE void softmax_row(float* s, RowRange seen, int begin, int end, float scale, float& max_out,
                             float& sum_out) {
  const Vf hidden = broadcast(kMinusInfinity);
  Vf maxima = hidden;
  for (int k = begin; k < end; k += kLanes) {
    Vf v = load(s + k);
    if (k < seen.begin || k + kLanes > seen.end) {
      v = select(first_lanes(clamp(seen.end - k, 0, kLanes)), v, hidden);
      v = select(first_lanes(clamp(seen.begin - k, 0, kLanes)), hidden, v);
      store(s + k, v);
    }
    maxima = max(v, maxima);
  }
  max_out = reduce_max(maxima) * scale;
  Vf sums = broadcast(0);
  for (int k = begin; k < end; k += kLanes) {
    const Vf p = exp(fma(load(s + k), broadcast(scale), broadcast(-max_out)));
    store(s + k, p);
    sums = sums + p;
  }
  sum_out = reduce_add(sums);
}

// sums[r][d] += p[r] * values[d]
template <int R, int D>
PEGA_INLINE void add_key(const float* p, const Vf (&values)[D], Vf (&sums)[R][D]) {
  PEGA_UNROLL
  for (int r = 0; r < R; ++r) {
    const Vf weight = broadcast(p[r * kKeys]);
    PEGA_UNROLL
    for (int d = 0; d < D; ++d) sums[r][d] = fma(weight, values[d], sums[r][d]);
  }
}

// Weighted sums of R rows over D vectors of columns; kTail: one vector, the last, of `lanes` columns.
template <int R, int D, bool kTail>
void value_block(const float* p, int head_dim, const PartitionKeys<uint16_t>& keys, int column, int lanes,
                 float* out, int out_stride) {
  Vf sums[R][D];
  PEGA_UNROLL
  for (int r = 0; r < R; ++r) {
    PEGA_UNROLL
    for (int d = 0; d < D; ++d) sums[r][d] = broadcast(0);
  }
  const auto load_values = [&](int k, Vf(&even)[D], Vf(&odd)[D]) PEGA_INLINE_LAMBDA {
    const uint16_t* pairs = keys.values[k / kKvGroup] + (k % kKvGroup * head_dim) + 2 * column;
    PEGA_UNROLL
    for (int d = 0; d < D; ++d) {
      if constexpr (kTail) {
        load_first_pairs(pairs, lanes, even[d], odd[d]);
      } else {
        load_pairs(pairs + 2 * d * kLanes, even[d], odd[d]);
      }
    }
  };
  Vf even[D];
  Vf odd[D];
  int k = keys.begin;
  // Half a pair at either end: the other half may lie outside of what the sequence owns and hold anything.
  if (k % 2 != 0) {
    load_values(k - 1, even, odd);
    add_key<R, D>(p + k, odd, sums);
    ++k;
  }
  for (; k + 1 < keys.end; k += 2) {
    load_values(k, even, odd);
    add_key<R, D>(p + k, even, sums);
    add_key<R, D>(p + k + 1, odd, sums);
  }
  if (k < keys.end) {
    load_values(k, even, odd);
    add_key<R, D>(p + k, even, sums);
  }
  PEGA_UNROLL
  for (int r = 0; r < R; ++r) {
    PEGA_UNROLL
    for (int d = 0; d < D; ++d) store(out + r * out_stride + column + d * kLanes, sums[r][d]);
  }
}

template <int R, int D, bool kTail>
void value_block(const float* p, int head_dim, const PartitionKeys<float>& keys, int column, int lanes,
                 float* out, int out_stride) {
  Vf sums[R][D];
  PEGA_UNROLL
  for (int r = 0; r < R; ++r) {
    PEGA_UNROLL
    for (int d = 0; d < D; ++d) sums[r][d] = broadcast(0);
  }
  for (int k = keys.begin; k < keys.end; ++k) {
    const float* row = keys.values[k / kKvGroup] + (k % kKvGroup * head_dim) + column;
    Vf values[D];
    PEGA_UNROLL
    for (int d = 0; d < D; ++d) values[d] = kTail ? load_first(row, lanes) : load(row + d * kLanes);
    add_key<R, D>(p + k, values, sums);
  }
  PEGA_UNROLL
  for (int r = 0; r < R; ++r) {
    PEGA_UNROLL
    for (int d = 0; d < D; ++d) store(out + r * out_stride + column + d * kLanes, sums[r][d]);
  }
}

template <int R, class K>
void value_rows(const float* p, int head_dim, const PartitionKeys<K>& keys, float* out, int out_stride) {
  int column = 0;
  for (; column + kValueVecs * kLanes <= head_dim; column += kValueVecs * kLanes) {
    value_block<R, kValueVecs, false>(p, head_dim, keys, column, 0, out, out_stride);
  }
  for (; column + kLanes <= head_dim; column += kLanes) {
    value_block<R, 1, false>(p, head_dim, keys, column, 0, out, out_stride);
  }
  if (column < head_dim)
    value_block<R, 1, true>(p, head_dim, keys, column, head_dim - column, out, out_stride);
}

template <int R, class K>
void value_upto(int rows, const float* p, int head_dim, const PartitionKeys<K>& keys, float* out,
                int out_stride) {
  if (rows == R) {
    value_rows<R>(p, head_dim, keys, out, out_stride);
  } else if constexpr (R > 1) {
    value_upto<R - 1>(rows, p, head_dim, keys, out, out_stride);
  }
}

// Rows token-major: row t * heads + h.
template <class T, class Q>
void pack_queries(const AttentionCall& call, const AttentionTile& tile, Q* packed) {
  const int head_dim = call.kv.head_dim;
  for (int t = 0; t < tile.tokens; ++t) {
    const T* row =
        static_cast<const T*>(call.q.data) + (tile.row + t) * call.q.row_stride + tile.head * head_dim;
    Q* to = packed + t * tile.heads * head_dim;
    if constexpr (sizeof(T) == sizeof(Q)) {
      std::memcpy(to, row, static_cast<size_t>(tile.heads * head_dim) * sizeof(Q));
    } else {
      for (int c = 0; c < tile.heads * head_dim; c += kLanes) {
        store_upto(to + c, load_upto(row + c, tile.heads * head_dim - c), tile.heads * head_dim - c);
      }
    }
  }
}

template <class Q, class K>
void partition_partials(const AttentionCall& call, const AttentionTile& tile, const Q* q, int partition,
                        float* partials) {
  const int head_dim = call.kv.head_dim;
  const int rows = tile.tokens * tile.heads;
  const int stride = partial_stride(head_dim);
  const PartitionKeys<K> keys = find_keys<K>(call, tile, partition);
  const int begin = keys.begin / kKvGroup * kKvGroup;
  const int end = (keys.end + kKvGroup - 1) / kKvGroup * kKvGroup;
  alignas(64) float s[kMaxTileRows * kKeys];
  for (int r = 0; r < rows; r += kScoreRows) {
    score_upto<kScoreRows>(lesser(rows - r, kScoreRows), q + r * head_dim, head_dim, keys, rows <= kScoreRows,
                           s + r * kKeys);
  }
  for (int r = 0; r < rows; ++r) {
    float* tail = partials + r * stride + stride - 16;
    softmax_row(s + r * kKeys, keys_in_partition(keys_of_row(tile, r, call.window), keys.first), begin, end,
                call.scale, tail[0], tail[1]);
  }
  for (int r = 0; r < rows; r += kValueRows) {
    value_upto<kValueRows>(lesser(rows - r, kValueRows), s + r * kKeys, head_dim, keys, partials + r * stride,
                           stride);
  }
}

PEGA_INLINE float exp_one(float x) {
  float lanes[kLanes];
  store(lanes, exp(broadcast(x)));
  return lanes[0];
}

// state and partial [partial_stride]: the sums under their common maximum. A NaN stays.
void merge_row(float* state, const float* partial, int stride) {
  const float before = state[stride - 16];
  const float added = partial[stride - 16];
  const float maximum = added > before ? added : before;
  const float keep = exp_one(before - maximum);
  const float weight = exp_one(added - maximum);
  for (int c = 0; c < stride - 16; c += kLanes) {
    store(state + c, fma(load(partial + c), broadcast(weight), load(state + c) * broadcast(keep)));
  }
  state[stride - 16] = maximum;
  state[stride - 15] = state[stride - 15] * keep + partial[stride - 15] * weight;
}

// Rows that see something of the partition take its partial in; its first one is copied.
void merge_partition(const AttentionTile& tile, int window, int partition, const float* partials, int stride,
                     float* states) {
  const int rows = tile.tokens * tile.heads;
  for (int r = 0; r < rows; ++r) {
    const RowRange seen = keys_of_row(tile, r, window);
    if (partition < seen.begin / kKeys || partition > (seen.end - 1) / kKeys) continue;
    float* state = states + r * stride;
    if (partition == seen.begin / kKeys) {
      std::memcpy(state, partials + r * stride, static_cast<size_t>(stride) * sizeof(float));
    } else {
      merge_row(state, partials + r * stride, stride);
    }
  }
}

template <class T>
void write_rows(const AttentionCall& call, const AttentionTile& tile, const float* states) {
  const int head_dim = call.kv.head_dim;
  const int stride = partial_stride(head_dim);
  for (int r = 0; r < tile.tokens * tile.heads; ++r) {
    const float* state = states + r * stride;
    T* out = static_cast<T*>(call.out.data) + (tile.row + r / tile.heads) * call.out.row_stride +
             (tile.head + r % tile.heads) * head_dim;
    const Vf sum = broadcast(state[stride - 15]);
    for (int c = 0; c < head_dim; c += kLanes) {
      // + 0: a sum of zeros is +0 whether or not masked keys were added to it.
      store_upto(out + c, load(state + c) / sum + broadcast(0), head_dim - c);
    }
  }
}

void write_out(const AttentionCall& call, const AttentionTile& tile, const float* states) {
  if (call.out.dtype == DType::kBF16) {
    write_rows<uint16_t>(call, tile, states);
  } else {
    write_rows<float>(call, tile, states);
  }
}

// Calls body(q, K{}) with the packed queries in the type that the score kernel for this cache takes.
template <class Body>
PEGA_INLINE void with_queries(const AttentionCall& call, const AttentionTile& tile, Body body) {
#ifdef PEGA_HAS_BF16_DOT
  if (call.q.dtype == DType::kBF16 && call.kv.dtype == DType::kBF16) {
    alignas(64) uint16_t pairs[kMaxTileRows * kMaxHeadDim];
    pack_queries<uint16_t>(call, tile, pairs);
    body(pairs, uint16_t{});
    return;
  }
#endif
  alignas(64) float q[kMaxTileRows * kMaxHeadDim];
  if (call.q.dtype == DType::kBF16) {
    pack_queries<uint16_t>(call, tile, q);
  } else {
    pack_queries<float>(call, tile, q);
  }
  if (call.kv.dtype == DType::kBF16) {
    body(q, uint16_t{});
  } else {
    body(q, float{});
  }
}

void attend(const AttentionCall& call, const AttentionTile& tile) {
  const int stride = partial_stride(call.kv.head_dim);
  const int rows = tile.tokens * tile.heads;
  const PartitionRange range = partitions_of(tile, call.window);
  alignas(64) float states[kMaxTileRows * partial_stride(kMaxHeadDim)];
  alignas(64) float partials[kMaxTileRows * partial_stride(kMaxHeadDim)];
  with_queries(call, tile, [&](const auto* q, auto key) {
    using Query = std::remove_const_t<std::remove_pointer_t<decltype(q)>>;
    for (int p = range.begin; p < range.end; ++p) {
      const bool first_of_all =
          p == range.begin && p == keys_of_row(tile, rows - 1, call.window).begin / kKeys;
      float* to = first_of_all ? states : partials;
      partition_partials<Query, decltype(key)>(call, tile, q, p, to);
      if (!first_of_all) merge_partition(tile, call.window, p, partials, stride, states);
    }
  });
  write_out(call, tile, states);
}

void attend_partition(const AttentionCall& call, const AttentionTile& tile, int partition, float* partials) {
  with_queries(call, tile, [&](const auto* q, auto key) {
    partition_partials<std::remove_const_t<std::remove_pointer_t<decltype(q)>>, decltype(key)>(
        call, tile, q, partition, partials);
  });
}

void merge(const AttentionCall& call, const AttentionTile& tile, const float* partials) {
  const int stride = partial_stride(call.kv.head_dim);
  const PartitionRange range = partitions_of(tile, call.window);
  alignas(64) float states[kMaxTileRows * partial_stride(kMaxHeadDim)];
  for (int p = range.begin; p < range.end; ++p) {
    merge_partition(tile, call.window, p, partials, stride, states);
    partials += static_cast<int64_t>(tile.tokens) * tile.heads * stride;
  }
  write_out(call, tile, states);
}

}  // namespace

extern const AttentionKernels kAttentionKernels;
const AttentionKernels kAttentionKernels{attend, attend_partition, merge};

}  // namespace pegainfer::cpu::PEGA_ISA

#include "kernels/cpu/kv_store.h"

#include "base/half.h"

namespace pegainfer::cpu {
namespace {

template <class To, class From>
To convert(From v) {
  if constexpr (sizeof(To) == sizeof(From)) {
    return v;
  } else if constexpr (sizeof(To) == 2) {
    return f32_to_bf16(v);
  } else {
    return bf16_to_f32(v);
  }
}

// One head of one position: group points at the head's 16 positions, lane is the place among them.
template <class From>
void store_head(const From* k, const From* v, uint16_t* k_group, uint16_t* v_group, int lane, int head_dim) {
  for (int i = 0; i < head_dim / 2; ++i) {
    uint16_t* pair = k_group + (i * kKvGroup + lane) * 2;
    pair[0] = convert<uint16_t>(k[2 * i]);
    pair[1] = convert<uint16_t>(k[2 * i + 1]);
  }
  uint16_t* row = v_group + (lane / 2) * head_dim * 2 + lane % 2;
  for (int d = 0; d < head_dim; ++d) row[2 * d] = convert<uint16_t>(v[d]);
}

template <class From>
void store_head(const From* k, const From* v, float* k_group, float* v_group, int lane, int head_dim) {
  for (int d = 0; d < head_dim; ++d) k_group[d * kKvGroup + lane] = convert<float>(k[d]);
  for (int d = 0; d < head_dim; ++d) v_group[lane * head_dim + d] = convert<float>(v[d]);
}

template <class From, class To>
void store_row(const From* k, const From* v, int32_t slot, const KvLayer& kv) {
  auto* block =
      reinterpret_cast<To*>(kv.data + static_cast<size_t>(slot / kv.block_size) * kv.bytes_per_block);
  const int offset = slot % kv.block_size;
  const int64_t head_elements = static_cast<int64_t>(kv.block_size) * kv.head_dim;
  To* group = block + static_cast<int64_t>(offset / kKvGroup) * kKvGroup * kv.head_dim;
  for (int h = 0; h < kv.num_kv_heads; ++h) {
    To* k_group = group + h * head_elements;
    store_head(k + h * kv.head_dim, v + h * kv.head_dim, k_group, k_group + kv.num_kv_heads * head_elements,
               offset % kKvGroup, kv.head_dim);
  }
}

template <class From, class To>
void store_rows(const Tensor& k, const Tensor& v, const int32_t* slot_mapping, const KvLayer& kv,
                int64_t row_begin, int64_t row_end) {
  for (int64_t r = row_begin; r < row_end; ++r) {
    store_row<From, To>(k.row<From>(r), v.row<From>(r), slot_mapping[r], kv);
  }
}

}  // namespace

void store_kv(const Tensor& k, const Tensor& v, const int32_t* slot_mapping, const KvLayer& kv,
              int64_t row_begin, int64_t row_end) {
  const bool from_bf16 = k.dtype == DType::kBF16;
  const bool to_bf16 = kv.dtype == DType::kBF16;
  const auto rows = from_bf16 ? (to_bf16 ? store_rows<uint16_t, uint16_t> : store_rows<uint16_t, float>)
                              : (to_bf16 ? store_rows<float, uint16_t> : store_rows<float, float>);
  rows(k, v, slot_mapping, kv, row_begin, row_end);
}

}  // namespace pegainfer::cpu

// Tensors of the ops as parameters of kernels, where more than one group of ops needs them.
#pragma once

#include "backend/ops.h"
#include "kernels/cuda/rope/rope.h"

namespace pegainfer {

inline const int32_t* ints_of(const Tensor& t) { return static_cast<const int32_t*>(t.data); }
inline const float* floats_of(const Tensor& t) { return static_cast<const float*>(t.data); }

inline cuda::KvLayer layer_of(const BatchView& batch, int layer) {
  return {.data = batch.kv.block(layer, 0),
          .bytes_per_block = batch.kv.bytes_per_block(),
          .dtype = batch.kv.dtype,
          .block_size = batch.kv.block_size,
          .num_kv_heads = batch.kv.num_kv_heads,
          .head_dim = batch.kv.head_dim,
          .slots = ints_of(batch.slot_mapping),
          .slots_stride = batch.slot_mapping.row_stride};
}

inline cuda::QkNormRopeParams rope_params(const Tensor& q, const Tensor& k, int head_dim,
                                          const QkNormRope& rope) {
  return {.dtype = q.dtype,
          .tokens = q.rows,
          .heads = static_cast<int>(q.cols / head_dim),
          .kv_heads = static_cast<int>(k.cols / head_dim),
          .head_dim = head_dim,
          .rotary_dim = static_cast<int>(rope.table.cols),
          .q = q.data,
          .q_stride = q.row_stride,
          .k = k.data,
          .k_stride = k.row_stride,
          .q_norm = floats_of(rope.q_norm),
          .k_norm = floats_of(rope.k_norm),
          .eps = rope.eps,
          .table = floats_of(rope.table),
          .table_stride = rope.table.row_stride};
}

inline cuda::QkNormRopeParams rope_store_params(const Tensor& q, const Tensor& k, const Tensor& v,
                                                const QkNormRope& rope, int layer, const BatchView& batch) {
  cuda::QkNormRopeParams p = rope_params(q, k, batch.kv.head_dim, rope);
  p.store = true;
  p.v = v.data;
  p.v_stride = v.row_stride;
  p.kv = layer_of(batch, layer);
  return p;
}

}  // namespace pegainfer

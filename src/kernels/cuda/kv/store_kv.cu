#include "kernels/cuda/common/row_map.cuh"
#include "kernels/cuda/kv/store_kv.h"

namespace pegainfer::cuda {
namespace {

// A row of the map is a token's k and then its v; a unit lies within one head.
template <class From, class To, int W>
struct StoreKvBody {
  StoreKvParams p;
  uint32_t units_a_side;  // of k
  Divider units_a_head;

  using In = Chunk<From, W>;
  __device__ __forceinline__ In load(uint32_t token, uint32_t unit) const {
    const bool value = unit >= units_a_side;
    const From* row = static_cast<const From*>(value ? p.v : p.k) + token * (value ? p.v_stride : p.k_stride);
    return reinterpret_cast<const In*>(row)[value ? unit - units_a_side : unit];
  }
  __device__ __forceinline__ void store(uint32_t token, uint32_t unit, const In& in) const {
    const bool value = unit >= units_a_side;
    uint32_t head = 0;
    uint32_t at = 0;
    units_a_head.divide(value ? unit - units_a_side : unit, head, at);
    Chunk<To, W> out;
#pragma unroll
    for (int i = 0; i < W; ++i) out.v[i] = from_float<To>(to_float(in.v[i]));
    reinterpret_cast<Chunk<To, W>*>(p.kv.place<To>(token, static_cast<int>(head), value ? 1 : 0))[at] = out;
  }
};

template <class From, class To, int W>
cudaError_t store(const StoreKvParams& p, cudaStream_t stream) {
  const auto a_head = static_cast<uint32_t>(p.kv.head_dim / W);
  const uint32_t a_side = a_head * static_cast<uint32_t>(p.kv.num_kv_heads);
  return launch_row_map(StoreKvBody<From, To, W>{p, a_side, Divider(a_head)}, p.tokens, 2 * int64_t{a_side},
                        stream);
}

template <class From, class To>
cudaError_t store_of(const StoreKvParams& p, cudaStream_t stream) {
  if constexpr (sizeof(From) == sizeof(To)) {
    const bool whole = in_units_of_16(p.k, p.kv.head_dim, p.k_stride, sizeof(From)) &&
                       in_units_of_16(p.v, p.kv.head_dim, p.v_stride, sizeof(From)) &&
                       aligned_16(p.kv.data) && p.kv.bytes_per_block % 16 == 0;
    if (whole) return store<From, To, kVec<From>>(p, stream);
  }
  return store<From, To, 1>(p, stream);
}

}  // namespace

cudaError_t store_kv(const StoreKvParams& p, cudaStream_t stream) {
  if (p.tokens == 0) return cudaSuccess;
  const bool to_bf16 = p.kv.dtype == DType::kBF16;
  if (p.dtype == DType::kBF16)
    return to_bf16 ? store_of<__nv_bfloat16, __nv_bfloat16>(p, stream)
                   : store_of<__nv_bfloat16, float>(p, stream);
  return to_bf16 ? store_of<float, __nv_bfloat16>(p, stream) : store_of<float, float>(p, stream);
}

}  // namespace pegainfer::cuda

// Work items are (token, head of q | head of k | head of v). Where alignment allows, a few lanes take a head:
// each holds 8 columns of the first half and the 8 that they turn with. Else a warp takes a head.
#include "kernels/cuda/common/reduce.cuh"
#include "kernels/cuda/common/row_map.cuh"
#include "kernels/cuda/rope/rope.cuh"
#include "kernels/cuda/rope/rope.h"

namespace pegainfer::cuda {
namespace {

using Bf16 = __nv_bfloat16;

// Which head of what an item is.
struct Item {
  uint32_t token;
  int head;
  enum { kQuery, kKey, kValue } kind;

  __device__ Item(const QkNormRopeParams& p, uint32_t index, const Divider& a_token) {
    uint32_t h = 0;
    a_token.divide(index, token, h);
    head = static_cast<int>(h);
    kind = kQuery;
    if (head >= p.heads) {
      head -= p.heads;
      kind = kKey;
      if (head >= p.kv_heads) {
        head -= p.kv_heads;
        kind = kValue;
      }
    }
  }
  template <class T>
  __device__ T* place(const QkNormRopeParams& p) const {
    void* base = kind == kQuery ? p.q : kind == kKey ? p.k : const_cast<void*>(p.v);
    const int64_t stride = kind == kQuery ? p.q_stride : kind == kKey ? p.k_stride : p.v_stride;
    return static_cast<T*>(base) + token * stride + int64_t{head} * p.head_dim;
  }
};

// BF16 everywhere, rotary_dim = head_dim, a multiple of 16; kLanes >= head_dim / 16 lanes a head.
template <int kLanes>
__global__ void __launch_bounds__(128)
    qk_norm_rope_kernel(QkNormRopeParams p, uint32_t count, Divider a_token) {
  const uint32_t thread = blockIdx.x * blockDim.x + threadIdx.x;
  const auto lane = static_cast<int>(thread % kLanes);
  const int half = p.head_dim / 2;
  const bool active = thread / kLanes < count && lane * 8 < half;
  const Item item(p, thread / kLanes < count ? thread / kLanes : 0, a_token);
  let_next_start();
  wait_for_previous();

  Bf16* head = item.place<Bf16>(p);
  uint4 raw_a{};
  uint4 raw_b{};
  float cos[8];
  float sin[8];
  if (active) {
    raw_a = *reinterpret_cast<const uint4*>(head + lane * 8);
    raw_b = *reinterpret_cast<const uint4*>(head + half + lane * 8);
    if (item.kind != Item::kValue) {
      const float* table = p.table + item.token * p.table_stride + lane * 8;
      load_8(table, cos);
      load_8(table + half, sin);
    }
  }
  float a[8];
  float b[8];
  unpack(raw_a, a);
  unpack(raw_b, b);
  const float* norm = item.kind == Item::kQuery ? p.q_norm : p.k_norm;
  const float squares = squares_of<kLanes>(a, b);  // all lanes of the warp are here
  if (!active) return;
  if (item.kind != Item::kValue) {
    if (norm != nullptr) {
      const float scale = norm_scale(squares, p.head_dim, p.eps);
      float weight[8];
      load_8(norm + lane * 8, weight);
      normalise(a, scale, weight);
      load_8(norm + half + lane * 8, weight);
      normalise(b, scale, weight);
    }
#pragma unroll
    for (int i = 0; i < 8; ++i) turn<Bf16>(a[i], b[i], cos[i], sin[i]);
    raw_a = pack(a);
    raw_b = pack(b);
    *reinterpret_cast<uint4*>(head + lane * 8) = raw_a;
    *reinterpret_cast<uint4*>(head + half + lane * 8) = raw_b;
  }
  if (p.store && item.kind != Item::kQuery) {
    Bf16* cached = p.kv.place<Bf16>(item.token, item.head, item.kind == Item::kValue ? 1 : 0);
    *reinterpret_cast<uint4*>(cached + lane * 8) = raw_a;
    *reinterpret_cast<uint4*>(cached + half + lane * 8) = raw_b;
  }
}

template <class T>
__device__ void norm_and_turn(const QkNormRopeParams& p, const Item& item, T* head, int lane) {
  const float* norm = item.kind == Item::kQuery ? p.q_norm : p.k_norm;
  if (norm != nullptr) {
    float squares = 0;
    for (int c = lane; c < p.head_dim; c += 32) squares = fmaf(to_float(head[c]), to_float(head[c]), squares);
    const float scale = 1.0F / sqrtf(warp_sum(squares) / static_cast<float>(p.head_dim) + p.eps);
    for (int c = lane; c < p.head_dim; c += 32)
      head[c] = from_float<T>(rounded<T>(to_float(head[c]) * scale) * norm[c]);
    __syncwarp();
  }
  const int half = p.rotary_dim / 2;
  const float* table = p.table + item.token * p.table_stride;
  for (int c = lane; c < half; c += 32) {
    float a = to_float(head[c]);
    float b = to_float(head[half + c]);
    turn<T>(a, b, table[c], table[half + c]);
    head[c] = from_float<T>(a);
    head[half + c] = from_float<T>(b);
  }
  __syncwarp();
}

template <class T>
__global__ void __launch_bounds__(128)
    qk_norm_rope_any_kernel(QkNormRopeParams p, uint32_t count, Divider a_token) {
  let_next_start();
  wait_for_previous();
  const uint32_t index = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  const auto lane = static_cast<int>(threadIdx.x % 32);
  if (index >= count) return;
  const Item item(p, index, a_token);
  T* head = item.place<T>(p);
  if (item.kind != Item::kValue) norm_and_turn(p, item, head, lane);
  if (!p.store || item.kind == Item::kQuery) return;
  const int is_value = item.kind == Item::kValue ? 1 : 0;
  for (int c = lane; c < p.head_dim; c += 32) {
    if (p.kv.dtype == DType::kBF16) {
      p.kv.place<Bf16>(item.token, item.head, is_value)[c] = from_float<Bf16>(to_float(head[c]));
    } else {
      p.kv.place<float>(item.token, item.head, is_value)[c] = to_float(head[c]);
    }
  }
}

}  // namespace

bool rope_in_vectors(const QkNormRopeParams& p) {
  const int64_t d = p.head_dim;
  return p.dtype == DType::kBF16 && p.rotary_dim == p.head_dim && d % 16 == 0 && d <= 512 &&
         in_units_of_16(p.q, d, p.q_stride, 2) && in_units_of_16(p.k, d, p.k_stride, 2) &&
         in_units_of_16(p.table, d, p.table_stride, 4) && aligned_16(p.q_norm) && aligned_16(p.k_norm) &&
         (!p.store || (p.kv.dtype == DType::kBF16 && in_units_of_16(p.v, d, p.v_stride, 2) &&
                       aligned_16(p.kv.data) && p.kv.bytes_per_block % 16 == 0));
}

cudaError_t qk_norm_rope(const QkNormRopeParams& p, cudaStream_t stream) {
  const int64_t a_token = p.heads + int64_t{p.kv_heads} * (p.store ? 2 : 1);
  const int64_t items = p.tokens * a_token;
  if (items == 0) return cudaSuccess;
  if (items >= int64_t{1} << 26) return cudaErrorInvalidValue;
  const auto count = static_cast<uint32_t>(items);
  const Divider divider(static_cast<uint32_t>(a_token));
  const auto how = [&](int64_t lanes) {
    return Launch{.grid = dim3(static_cast<unsigned>((items * lanes + 127) / 128)),
                  .block = dim3(128),
                  .stream = stream};
  };
  if (!rope_in_vectors(p)) {
    return p.dtype == DType::kBF16 ? launch(how(32), qk_norm_rope_any_kernel<Bf16>, p, count, divider)
                                   : launch(how(32), qk_norm_rope_any_kernel<float>, p, count, divider);
  }
  const int lanes = p.head_dim / 16;
  if (lanes <= 4) return launch(how(4), qk_norm_rope_kernel<4>, p, count, divider);
  if (lanes <= 8) return launch(how(8), qk_norm_rope_kernel<8>, p, count, divider);
  if (lanes <= 16) return launch(how(16), qk_norm_rope_kernel<16>, p, count, divider);
  return launch(how(32), qk_norm_rope_kernel<32>, p, count, divider);
}

}  // namespace pegainfer::cuda
